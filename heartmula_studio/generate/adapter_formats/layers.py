"""What each kind of adapter adds to a weight. Pure functions on tensors.

Sources: LoRA (Hu et al., 2021), DoRA (Liu et al., 2024), LoHa (Hyeon-Woo et al., 2021) and LoKr (Yeh et al., 2023), in
the layouts of PEFT 0.21 and LyCORIS 4.1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["lora", "loha", "lokr", "full"]


@dataclass(frozen=True)
class Layer:
    """What an adapter does to one weight, [out, in], or to `audio_head`, [K-1, in, out].

    parts: "down" [rank, in] and "up" [out, rank] of a LoRA; "w1_a" and so on of LoHa and LoKr; "diff", of the weight's
    shape, of a full change. `magnitude` [out] makes it a DoRA. `scale` multiplies all but that.
    """

    kind: Kind
    parts: Mapping[str, Tensor]
    scale: float = 1.0
    magnitude: Tensor | None = None
    names: Mapping[str, str] = field(default_factory=dict)  # where the parts come from, for messages

    @property
    def rank(self) -> int:
        """Of a LoRA and a LoHa; of a LoKr the rank of its factors, or 0 where both are whole."""
        return RANKS[self.kind](self.parts)


def _lokr_rank(parts: Mapping[str, Tensor]) -> int:
    return next((parts[name].shape[0] for name in ("w2_b", "w1_b") if name in parts), 0)


RANKS: dict[Kind, Callable[[Mapping[str, Tensor]], int]] = {
    "lora": lambda parts: parts["down"].shape[0],
    "loha": lambda parts: parts["w1_b"].shape[0],
    "lokr": _lokr_rank,
    "full": lambda parts: min(parts["diff"].shape[-2:]),
}


def delta(layer: Layer, shape: tuple[int, ...]) -> Tensor:
    """What a layer adds to a weight of this shape, without DoRA's magnitude, in float32.

    Raises ValueError where its parts do not make up such a weight.
    """
    parts = {name: tensor.float() for name, tensor in layer.parts.items()}
    try:
        made = DELTAS[layer.kind](parts, shape)
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"its parts do not fit together: {str(error).splitlines()[0]:.120}") from error
    if made.shape != shape:
        raise ValueError(f"it makes up {list(made.shape)}, and the base has {list(shape)}")
    return made * layer.scale


def _lora(parts: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    if len(shape) == 2:
        return parts["up"] @ parts["down"]
    heads, _, out = shape  # PEFT's layout of a LoRA on a stack of matrices: heads first in "down", last in "up"
    down = parts["down"].reshape(heads, -1, parts["down"].shape[-1])
    return torch.einsum("ore,eri->eio", parts["up"].reshape(out, -1, heads), down)


def _loha(parts: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    return (parts["w1_a"] @ parts["w1_b"]) * (parts["w2_a"] @ parts["w2_b"])


def _lokr(parts: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.kron(*lokr_factors(parts))


def lokr_factors(parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The two factors of a Kronecker product, each of which may be a product itself."""
    first, second = (parts[name] if name in parts else parts[f"{name}_a"] @ parts[f"{name}_b"] for name in ("w1", "w2"))
    return first, second


DELTAS: dict[Kind, Callable[[Mapping[str, Tensor], tuple[int, ...]], Tensor]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "full": lambda parts, shape: parts["diff"],
}


def changed_weight(weight: Tensor, layer: Layer) -> Tensor:
    """A weight with a layer on it, in float32. Raises as `delta`."""
    changed = weight.float() + delta(layer, tuple(weight.shape))
    if layer.magnitude is None:
        return changed
    return changed * (layer.magnitude.float() / changed.norm(dim=1))[:, None]


def delta_norm(layer: Layer, shape: tuple[int, ...]) -> float:
    """The Frobenius norm of `delta`; of a LoRA without forming the product."""
    if layer.kind != "lora" or len(shape) != 2:
        return delta(layer, shape).norm().item()
    down, up = layer.parts["down"].double(), layer.parts["up"].double()
    squared = ((up.T @ up) * (down @ down.T)).sum().item()
    return math.sqrt(max(squared, 0.0)) * abs(layer.scale)


def full_as_lora(layer: Layer) -> Layer:
    """A whole change of a matrix as a LoRA of full rank, which is the same but for rounding."""
    diff = layer.parts["diff"]
    out, width = diff.shape
    one = torch.eye(min(out, width), dtype=diff.dtype)
    parts = {"down": one, "up": diff} if width <= out else {"down": diff, "up": one}
    return replace(layer, kind="lora", parts=parts)


def loha_as_lora(layer: Layer) -> Layer:
    """A LoHa of rank r as a LoRA of rank r², which is the same but for rounding."""
    w1_a, w1_b, w2_a, w2_b = (layer.parts[name] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    up = (w1_a[:, :, None] * w2_a[:, None, :]).flatten(1)
    down = (w1_b[:, None, :] * w2_b[None, :, :]).flatten(0, 1)
    return replace(layer, kind="lora", parts={"down": down, "up": up})


def interleaved_rows(layer: Layer, head_dim: int) -> Layer | None:
    """A layer on q or k of a half-split rotary embedding, with its outputs in the order of an interleaved one.

    Row i and row i + head_dim/2 of each head become rows 2i and 2i+1. None where the factors do not allow for it.
    """
    row_parts = {"lora": ("up",), "loha": ("w1_a", "w2_a"), "full": ("diff",), "lokr": ()}[layer.kind]
    parts = dict(layer.parts)
    if layer.kind == "lokr":
        name = "w2" if "w2" in parts else "w2_a"
        if parts[name].shape[0] % head_dim:
            return None
        row_parts = (name,)
    for name in row_parts:
        parts[name] = interleave(parts[name], head_dim)
    magnitude = None if layer.magnitude is None else interleave(layer.magnitude, head_dim)
    return replace(layer, parts=parts, magnitude=magnitude)


def interleave(rows: Tensor, head_dim: int) -> Tensor:
    """Rows [heads · head_dim, …] from half-split to interleaved order."""
    return rows.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).flatten(0, 2).contiguous()
