"""Linear layers that read the same input, fused into one matrix product together with their LoRA.

At batch size one or two, decoding is launch-bound: a frame reads every weight once and computes next to nothing with
it, so separate products for q, k and v, or for the two matrices of a LoRA, cost more than their arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


@dataclass(frozen=True)
class LoraWeights:
    """A LoRA's change of `W x`: `dora_scale · W x + up (down x)`."""

    down: Tensor  # [r, in]
    up: Tensor  # [out, r], times alpha / r and the strength
    dora_scale: Tensor | None = None  # [out]; None without DoRA, where it is 1

    def plus(self, other: "LoraWeights") -> "LoraWeights":
        """Return the sum of both changes, whose rank is that of both."""
        scales = [lora.dora_scale for lora in (self, other) if lora.dora_scale is not None]
        return LoraWeights(
            torch.cat((self.down, other.down)),
            torch.cat((self.up, other.up), dim=1),
            sum(scales[1:], start=scales[0]) - (len(scales) - 1) if scales else None,
        )


class DeferredRMSNorm(NamedTuple):
    """Output of an RMSNorm; where `mean_square` is given, its consumer still divides each row by the root of it."""

    values: Tensor  # [N, D]
    mean_square: Tensor | None = None  # [N, parts], whose sum is the mean square

    def materialize(self) -> Tensor:
        return divide_by_rms(self.values, self.mean_square)


class DeferredLinear(NamedTuple):
    """Output of a fused linear whose LoRA term and norm scale are applied by the consuming kernel.

    The result is `dora_scale · values[:, :out] + values[:, out:] @ up.T`, divided by the input's root mean square.
    """

    values: Tensor  # [N, out + r]: the outputs, and behind them `down x`
    up: Tensor  # [out, r], block-diagonal: as many columns for each layer, 0 in the rows of the others
    dora_scale: Tensor | None  # [out]; None where it is 1
    mean_square: Tensor | None = None  # as in `DeferredRMSNorm`

    def materialize(self) -> Tensor:
        """[N, out]; may overwrite `values`."""
        size, rank = self.up.shape
        if not rank:
            return divide_by_rms(self.values, self.mean_square)
        base, low_rank = self.values[:, :size], self.values[:, size:]
        if self.dora_scale is not None:
            base = (base * self.dora_scale).type_as(base)
        return divide_by_rms(base.addmm_(low_rank, self.up.T), self.mean_square)


def divide_by_rms(x: Tensor, mean_square: Tensor | None) -> Tensor:
    """Divide `x` [N, D] by the root of its mean square, which is given in parts [N, parts]."""
    return x if mean_square is None else (x * mean_square.sum(-1, keepdim=True).rsqrt()).type_as(x)


@runtime_checkable
class SupportsLora(Protocol):
    """A linear layer with an adapter on it; its `weight` is the base's own."""

    @property
    def weight(self) -> Tensor: ...

    def lora_weights(self) -> LoraWeights | None:
        """Return the adapters at their present strength; None where they add nothing, or not a LoRA's change."""

    def merged_weight(self) -> Tensor | None:
        """Return a copy of the weight with a change that is no LoRA's; None where there is no such change."""


class FusedLinear:
    """Bias-free linear layers side by side: [..., in] → [..., the sum of their outputs].

    Their parameters become views of one matrix, which takes no memory beyond the adapter's: whatever is copied into
    them later takes effect. A weight that an adapter is merged into stays beside it instead. An adapter attached or
    detached later takes no effect; a changed strength does after `update_lora`.
    """

    @torch.inference_mode(False)  # the parameters outlive the song that is being made
    @torch.no_grad()
    def __init__(self, layers: Sequence[nn.Linear | SupportsLora]):
        for layer in layers:  # another kind of adapter has a `weight` too, and would be left out silently
            assert isinstance(layer, SupportsLora) or type(layer) is nn.Linear, type(layer)
        weights = [layer.weight for layer in layers]
        *starts, self._outputs = accumulate(map(len, weights), initial=0)
        self._columns = [slice(start, start + len(weight)) for start, weight in zip(starts, weights, strict=True)]
        self._layers = layers
        loras = self._lora_weights()
        self._rank = max((len(lora.down) for lora in loras.values()), default=0)
        self._weight, self._up = allocate(self._outputs, len(layers) * self._rank, weights[0])
        self._dora_scale: Tensor | None = None
        merged = self._copy_merged()
        for number, (columns, weight) in enumerate(zip(self._columns, weights, strict=True)):
            if number not in merged:
                self._weight[columns] = weight
                weight.data = self._weight[columns]
        for number, lora in loras.items():
            self._weight[self._outputs + number * self._rank :][: len(lora.down)] = lora.down
        self._copy_up(loras)

    @torch.inference_mode(False)
    @torch.no_grad()
    def update_lora(self) -> None:
        """Take over changed strengths of the adapters, in place."""
        self._copy_merged()
        self._copy_up(self._lora_weights())

    def _lora_weights(self) -> dict[int, LoraWeights]:
        """The adapter of each layer that has one, by the layer's number."""
        loras = {n: layer.lora_weights() for n, layer in enumerate(self._layers) if isinstance(layer, SupportsLora)}
        return {number: lora for number, lora in loras.items() if lora}

    def _copy_merged(self) -> set[int]:
        """Take over the weights that adapters are merged into; return the numbers of their layers."""
        merged = set()
        for number, (columns, layer) in enumerate(zip(self._columns, self._layers, strict=True)):
            if isinstance(layer, SupportsLora) and (weight := layer.merged_weight()) is not None:
                self._weight[columns] = weight
                merged.add(number)
        return merged

    def _copy_up(self, loras: Mapping[int, LoraWeights]) -> None:
        for number, lora in loras.items():
            columns = self._columns[number]
            self._up[columns, number * self._rank :][:, : lora.up.shape[1]] = lora.up
            if lora.dora_scale is not None:
                if self._dora_scale is None:  # in float32: a bfloat16 close to 1 is off by up to 0.4%
                    self._dora_scale = torch.ones(self._outputs, device=self._up.device)
                self._dora_scale[columns] = lora.dora_scale

    def __call__(self, x: Tensor, mean_square: Tensor | None = None) -> DeferredLinear:
        """[N, in] → the outputs [N, out] of all layers, deferred."""
        return DeferredLinear(linear(x, self._weight), self._up, self._dora_scale, mean_square)

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add the outputs for `x` [N, in] to `total` [N, out] in place; return it."""
        if self._rank:
            return total.add_(self(x).materialize())
        return total.addmm_(x, self._weight.T)


def allocate(num_outputs: int, rank: int, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return zeros [outputs + rank, in] and [outputs, rank], of the dtype and on the device of `weight` [..., in].

    The second lies behind the first, in memory pages whose addresses a GPU has just translated. There it is stored row
    by row, as the kernels read it; on a CPU column by column, which makes the matrix product a third faster.
    """
    num_rows, width = num_outputs + rank, weight.shape[1]
    both = weight.new_zeros(num_rows * width + num_outputs * rank)
    matrix, up = both[: num_rows * width].view(num_rows, width), both[num_rows * width :]
    return matrix, up.view(num_outputs, rank) if weight.is_cuda else up.view(rank, num_outputs).T
