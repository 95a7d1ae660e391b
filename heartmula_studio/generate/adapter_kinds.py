"""The kinds of adapters that are applied: which tensors a layer has, how they fit together, and the change they make.

LoRA (Hu et al., arXiv 2106.09685) and DoRA (arXiv 2402.09353) add `up @ down` to a weight, LoHa (arXiv 2108.06098) the
product by elements of two such products, LoKr (arXiv 2212.10650) a Kronecker product. Names and layouts are PEFT's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

PeftType = Literal["LORA", "LOHA", "LOKR"]
Shapes = Mapping[str, tuple[int, ...]]


class LayerTensors(Protocol):
    """The values of one layer in float32: all numbers, and none so large that the model could not go on with them."""

    def delta(self) -> Tensor:
        """Return the change of the weight, [out, in], before the layer's scale."""

    def factors(self) -> list[Tensor]:
        """Return what the change is a product of: where one of them is zero, it is."""


class _Factors:
    """The tensors of a dataclass as factors."""

    def factors(self) -> list[Tensor]:
        return [value for value in vars(self).values() if isinstance(value, Tensor)]


@dataclass(frozen=True)
class LoraTensors(_Factors):
    down: Tensor  # [rank, in]
    up: Tensor  # [out, rank], without the scale
    magnitude: Tensor | None = None  # [out], with DoRA

    peft_type: ClassVar[PeftType] = "LORA"

    def delta(self) -> Tensor:
        return self.up @ self.down


@dataclass(frozen=True)
class LohaTensors(_Factors):
    w1_a: Tensor  # [out, rank]
    w1_b: Tensor  # [rank, in]
    w2_a: Tensor
    w2_b: Tensor

    peft_type: ClassVar[PeftType] = "LOHA"

    def delta(self) -> Tensor:
        return (self.w1_a @ self.w1_b) * (self.w2_a @ self.w2_b)


@dataclass(frozen=True)
class LokrTensors(_Factors):
    """Of each factor, the matrix itself or the two that it is the product of."""

    w1: Tensor | None = None  # [a, b], where out = a · c and in = b · d
    w1_a: Tensor | None = None
    w1_b: Tensor | None = None
    w2: Tensor | None = None  # [c, d]
    w2_a: Tensor | None = None
    w2_b: Tensor | None = None

    peft_type: ClassVar[PeftType] = "LOKR"

    def delta(self) -> Tensor:
        return torch.kron(_factor(self.w1, self.w1_a, self.w1_b), _factor(self.w2, self.w2_a, self.w2_b))


@dataclass(frozen=True)
class HeadTensors(_Factors):
    """A LoRA on the bare parameter `audio_head` [K-1, width, V], laid out as PEFT does for `target_parameters`."""

    num_heads: int
    down: Tensor  # [(K-1) · rank, width]: head by head
    up: Tensor  # [V, rank · (K-1)]: the heads of a rank side by side

    peft_type: ClassVar[PeftType] = "LORA"

    def delta(self) -> Tensor:
        """[K-1, width, V]"""
        down = self.down.unflatten(0, (self.num_heads, -1))
        return torch.einsum("vrk,krd->kdv", self.up.unflatten(1, (-1, self.num_heads)), down)


PARTS: dict[str, tuple[PeftType, str]] = {
    "lora_A.weight": ("LORA", "down"),
    "lora_B.weight": ("LORA", "up"),
    "lora_magnitude_vector": ("LORA", "magnitude"),
    "lora_magnitude_vector.weight": ("LORA", "magnitude"),
    **{f"hada_{part}": ("LOHA", part) for part in ("w1_a", "w1_b", "w2_a", "w2_b")},
    **{f"lokr_{part}": ("LOKR", part) for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
}
"""Ends of the names of tensors, and what they are."""


def weight_shape(kind: PeftType, shapes: Shapes) -> tuple[int, int] | None:
    """Return the shape of the change that a layer's tensors make; None where they do not fit together."""
    try:
        if kind == "LORA":
            return _product(shapes["up"], shapes["down"])
        if kind == "LOHA":
            first, second = (_product(shapes[f"{part}_a"], shapes[f"{part}_b"]) for part in ("w1", "w2"))
            return first if first == second else None
        outer, inner = (_factor_shape(shapes, part) for part in ("w1", "w2"))
        return outer and inner and (outer[0] * inner[0], outer[1] * inner[1])
    except (KeyError, IndexError, ValueError):
        return None


def stored_rank(kind: PeftType, shapes: Shapes) -> int | None:
    """Return the rank that a layer's tensors have; None for a LoKr of which no factor is a product."""
    down = {"LORA": ("down",), "LOHA": ("w1_b",), "LOKR": ("w2_b", "w1_b")}[kind]
    return next((shapes[part][0] for part in down if part in shapes), None)


def _factor(whole: Tensor | None, left: Tensor | None, right: Tensor | None) -> Tensor:
    if whole is not None:
        return whole
    assert left is not None
    assert right is not None
    return left @ right


def _factor_shape(shapes: Shapes, part: str) -> tuple[int, int] | None:
    if part not in shapes:
        return _product(shapes[f"{part}_a"], shapes[f"{part}_b"])
    if f"{part}_a" in shapes or f"{part}_b" in shapes:
        return None
    rows, columns = shapes[part]
    return rows, columns


def _product(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, int] | None:
    return (left[0], right[1]) if len(left) == len(right) == 2 and left[1] == right[0] > 0 else None
