"""Linear layers that read the same input as one matrix product, with whatever adapter is on them.

A generated frame reads every weight once and computes next to nothing with it, so it takes as long as its kernels are
many: a layer of its own for q, k and v, or for the two halves of an adapter, costs more than their arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


@dataclass(frozen=True)
class LowRank:
    """What an adapter makes of `W x`: `gain · W x + up (down x)`."""

    down: Tensor  # [r, in]
    up: Tensor  # [out, r], with the adapter's scale in it
    gain: Tensor | None = None  # [out], None where it is 1


class Normed(NamedTuple):
    """What a norm makes of rows; where `mean_square` is given, they are still to be divided by its root."""

    values: Tensor  # [N, D]
    mean_square: Tensor | None = None  # [N, parts], whose sum is the mean square

    def total(self) -> Tensor:
        return divided(self.values, self.mean_square)


class Product(NamedTuple):
    """What stacked layers make of their input, but for what a GPU does as it reads it for its next step.

    That is to add the adapter's share, `gain · values[:, :out] + values[:, out:] @ up.T`, and to divide the sum by what
    the input was still to be divided by.
    """

    values: Tensor  # [N, out + r]: behind the outputs lies `down x`
    up: Tensor  # [out, r]; its columns belong to one layer after the other, as many to each, and are 0 for the others
    gain: Tensor | None  # [out], None where it is 1
    mean_square: Tensor | None = None  # as in `Normed`

    def total(self) -> Tensor:
        """[N, out]; may be written over `values`."""
        size, rank = self.up.shape
        if not rank:
            return divided(self.values, self.mean_square)
        base, low = self.values[:, :size], self.values[:, size:]
        if self.gain is not None:
            base = (base * self.gain).type_as(base)
        return divided(base.addmm_(low, self.up.T), self.mean_square)


def divided(x: Tensor, mean_square: Tensor | None) -> Tensor:
    """`x` [N, D] by the root of the sum of each row's parts [N, parts]."""
    return x if mean_square is None else (x * mean_square.sum(-1, keepdim=True).rsqrt()).type_as(x)


@runtime_checkable
class Adaptable(Protocol):
    """A linear layer with an adapter on it; its `weight` is the base's own."""

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
        self._columns = [slice(start, start + len(weight)) for start, weight in zip(starts, weights, strict=True)]
        self._layers = layers
        parts = self._parts()
        self._rank = max((len(part.down) for part in parts.values()), default=0)
        self._weight, self._up = zeros(self._outputs, len(layers) * self._rank, weights[0])
        self._gain: Tensor | None = None
        for columns, weight in zip(self._columns, weights, strict=True):
            self._weight[columns] = weight
            weight.data = self._weight[columns]
        for number, part in parts.items():
            self._weight[self._outputs + number * self._rank :][: len(part.down)] = part.down
        self._take_over(parts)

    @torch.inference_mode(False)
    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the adapter's strength, in place."""
        self._take_over(self._parts())

    def _parts(self) -> dict[int, LowRank]:
        """What the adapter adds to each layer, by its number; nothing for those without one."""
        told = {number: layer.low_rank() for number, layer in enumerate(self._layers) if isinstance(layer, Adaptable)}
        return {number: part for number, part in told.items() if part}

    def _take_over(self, parts: Mapping[int, LowRank]) -> None:
        for number, part in parts.items():
            columns = self._columns[number]
            self._up[columns, number * self._rank :][:, : part.up.shape[1]] = part.up
            if part.gain is not None:
                if self._gain is None:  # in float32: a bfloat16 beside 1 is off by up to 0.4%
                    self._gain = torch.ones(self._outputs, device=self._up.device)
                self._gain[columns] = part.gain

    def __call__(self, x: Tensor, mean_square: Tensor | None = None) -> Product:
        """[N, in] → a product of [N, outputs]."""
        return Product(linear(x, self._weight), self._up, self._gain, mean_square)


def zeros(num_outputs: int, rank: int, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices [outputs + rank, in] and [outputs, rank], of the type and on the device of a `weight` [..., in].

    The second lies behind the first: in pages of memory that a GPU has just looked up when it comes to it. There its
    rows lie one after the other, as kernels read them; on a processor its columns, which makes products a third faster.
    """
    num_rows, width = num_outputs + rank, weight.shape[1]
    both = weight.new_zeros(num_rows * width + num_outputs * rank)
    matrix, up = both[: num_rows * width].view(num_rows, width), both[num_rows * width :]
    return matrix, up.view(num_outputs, rank) if weight.is_cuda else up.view(rank, num_outputs).T
