"""Linear layers that read the same input as one matrix product, with whatever adapter is on them.

A generated frame reads every weight once and computes next to nothing with it, so it takes as long as its kernels are
many: a layer of its own for q, k and v, or for the two halves of an adapter, costs more than their arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from heartmula_studio.arch import kernels


@dataclass(frozen=True)
class LowRank:
    """What an adapter makes of `W x`: `gain · W x + up (down x)`."""

    down: Tensor  # [r, in]
    up: Tensor  # [out, r], with the adapter's scale in it
    gain: Tensor | None = None  # [out], None where it is 1


@runtime_checkable
class Adaptable(Protocol):
    """A linear layer with an adapter on it; `weight` is the base's own."""

    weight: Tensor

    def low_rank(self) -> LowRank | None:
        """What the adapter adds at its present strength; None where that is nothing."""


class StackedLinear:
    """Bias-free linear layers side by side: [..., in] → [..., the sum of their outputs].

    Their parameters become views of one matrix, which takes no memory beyond the adapter's: what is copied into them
    later is in the product. An adapter put on or taken off later is not; a change of its strength is, after `refresh`.
    """

    @torch.inference_mode(False)  # the parameters outlive the song that is being made
    @torch.no_grad()
    def __init__(self, layers: Sequence[nn.Module]):
        for layer in layers:  # another kind of adapter has a `weight` too, and would be left out without a word
            assert isinstance(layer, Adaptable) or type(layer) is nn.Linear, type(layer)
        weights = [layer.weight for layer in layers]
        *starts, self._outputs = accumulate(map(len, weights), initial=0)
        placed = dict(zip(starts, layers, strict=True))
        told = {start: layer.low_rank() for start, layer in placed.items() if isinstance(layer, Adaptable)}
        parts = {start: part for start, part in told.items() if part}
        self._adapted = {start: placed[start] for start in parts}
        downs = [part.down.to(weights[0].dtype) for part in parts.values()]
        self._weight = torch.cat([*weights, *downs])
        for start, weight in zip(starts, weights, strict=True):
            weight.data = self._weight[start : start + len(weight)]
        self._up = self._weight.new_zeros(sum(map(len, downs)), self._outputs)
        self._gain: Tensor | None = None
        self._has_kernels = kernels.are_usable(self._weight.device)
        self._take_over(parts)

    @torch.inference_mode(False)
    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the adapter's strength, in place."""
        self._take_over({start: layer.low_rank() for start, layer in self._adapted.items()})

    def _take_over(self, parts: Mapping[int, LowRank]) -> None:
        """Write what is added to the outputs that begin at each number."""
        row = 0
        for start, part in parts.items():
            rank, columns = part.up.shape[1], slice(start, start + part.up.shape[0])
            self._up[row : row + rank, columns] = part.up.T
            row += rank
            if part.gain is not None:
                if self._gain is None:  # in float32: a bfloat16 beside 1 is off by up to 0.4%
                    self._gain = torch.ones(self._outputs, device=self._up.device)
                self._gain[columns] = part.gain

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] → [N, outputs]."""
        y = linear(x, self._weight)
        return self._with_low_rank(y) if self._adapted else y

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add the product of `x` [N, in] to `total` [N, outputs], in place; return `total`."""
        if not self._adapted:
            return total.addmm_(x, self._weight.T)
        if self._has_kernels:
            return kernels.add_low_rank(total, linear(x, self._weight), self._up, self._gain, is_sum=True)
        return total.add_(self(x))

    def _with_low_rank(self, stacked: Tensor) -> Tensor:
        base, low = stacked[:, : self._outputs], stacked[:, self._outputs :]
        if self._has_kernels:
            return kernels.add_low_rank(base, stacked, self._up, self._gain, is_sum=False)
        if self._gain is not None:
            base = (base * self._gain).type_as(base)
        return base.addmm_(low, self._up)
