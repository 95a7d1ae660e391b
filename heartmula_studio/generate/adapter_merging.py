"""Several adapters made one: what PEFT's `add_weighted_adapter` does, without the base in memory and for more kinds.

The names of combinations and the merging functions are PEFT's own. Sources: TIES (Yadav et al., arXiv 2306.01708), DARE
(Yu et al., arXiv 2311.03099), randomized SVD (Halko et al., arXiv 0909.4061).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft.utils.merge_utils import dare_linear, dare_ties, task_arithmetic, ties
from torch import Tensor

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.adapter_files import AdapterDescription, read_layers
from heartmula_studio.generate.adapter_formats.layers import Layer, loha_as_lora
from heartmula_studio.generate.adapter_formats.peft import PeftAdapter, ReadBase, to_peft
from heartmula_studio.generate.adapter_kinds import HeadTensors, LayerTensors, LohaTensors, LoraTensors
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.layer_change import change_of
from heartmula_studio.generate.merge_settings import MergeSettings
from heartmula_studio.generate.strength import Strength

FALLBACK_RANK = 16  # where no parent has a rank: LoKr of whole factors
EXACT_SIZE = 1024  # of a matrix whose SVD takes a second; that of a layer of the 3B takes minutes
OVERSAMPLED, POWER_ITERATIONS = 16, 4


@dataclass(frozen=True)
class WeightedAdapter:
    """An adapter that goes into a merge, and how strongly each of its layers does."""

    adapter: AdapterDescription
    strength: Strength


@dataclass(frozen=True)
class _Part:
    """What one parent has for a layer."""

    tensors: LayerTensors
    scale: float  # at a strength of 1
    strength: float


@dataclass(frozen=True)
class MergedAdapter:
    """A merge in PEFT's format. `lost` is the share of the merged change, by norm, that its rank has no room for."""

    adapter: PeftAdapter
    lost: float


def merge_adapters(
    parents: Sequence[WeightedAdapter], settings: MergeSettings, base: BaseModel, read_base: ReadBase
) -> MergedAdapter:
    """Merge adapters that fit the base, a layer at a time.

    Raises InvalidInputError for `cat` of a DoRA or LoKr, and where all strengths are 0; CheckpointCorruptError.
    """
    parts = _parts_by_layer(parents)
    if not parts:
        raise InvalidInputError("All strengths are 0, so nothing would be merged.", "Give at least one above 0.")
    merger = _SumOfRanks() if settings.combination == "cat" else _Truncated(settings, _rank(parents), read_base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        layers = {name: merger.layer(name, parts[name]) for name in sorted(parts)}
    return MergedAdapter(to_peft(layers, base), merger.lost)


def _parts_by_layer(parents: Sequence[WeightedAdapter]) -> dict[str, list[_Part]]:
    """The parts that count, by layer. Raises CheckpointCorruptError."""
    parts: dict[str, list[_Part]] = {}
    for parent in parents:
        for name, tensors in read_layers(parent.adapter, "cpu"):
            if strength := parent.strength.of_layer(name):
                parts.setdefault(name, []).append(_Part(tensors, parent.adapter.layers[name].scale, strength))
    return parts


def _rank(parents: Sequence[WeightedAdapter]) -> int:
    ranks = [layer.rank for parent in parents for layer in parent.adapter.layers.values() if layer.rank]
    return max(ranks, default=FALLBACK_RANK)


class _SumOfRanks:
    """`cat`: the factors side by side, whose product is the exact sum of the products."""

    lost = 0.0

    def layer(self, name: str, parts: Sequence[_Part]) -> Layer:
        pairs = [_factors(part, name) for part in parts]
        downs = [down * part.scale * part.strength for part, (down, _) in zip(parts, pairs, strict=True)]
        return _lora(torch.cat(downs, dim=1), torch.cat([up for _, up in pairs], dim=2))


class _Truncated:
    """The others: dense changes, merged by PEFT's functions, then cut to a rank by their largest singular values."""

    def __init__(self, settings: MergeSettings, rank: int, read_base: ReadBase):
        self._settings, self._rank = settings, settings.rank or rank
        self._read_base = read_base
        self._kept = self._all = 0.0

    @property
    def lost(self) -> float:
        return max(1 - self._kept / self._all, 0.0) ** 0.5 if self._all else 0.0

    def layer(self, name: str, parts: Sequence[_Part]) -> Layer:
        weights = torch.tensor([part.strength for part in parts])
        merged = self._combine([self._delta(name, part) for part in parts], weights)
        down, up = cut_to_rank(merged, self._rank)
        self._all += merged.double().square().sum().item()
        self._kept += up.double().square().sum().item()
        return _lora(down, up)

    def _combine(self, deltas: list[Tensor], weights: Tensor) -> Tensor:
        match self._settings.combination:
            case "ties_svd":
                return ties(deltas, weights, self._settings.density)
            case "dare_linear_svd":
                return dare_linear(deltas, weights, self._settings.density)
            case "dare_ties_svd":
                return dare_ties(deltas, weights, self._settings.density)
        return task_arithmetic(deltas, weights)

    def _delta(self, name: str, part: _Part) -> Tensor:
        """The change that a parent makes at a strength of 1, [1, out, in]; of `audio_head` [K-1, out, in]."""
        if isinstance(part.tensors, HeadTensors):
            return part.tensors.delta().mT * part.scale
        is_dora = isinstance(part.tensors, LoraTensors) and part.tensors.magnitude is not None
        weight = self._read_base(f"{name}.weight") if is_dora else torch.empty(0)
        return change_of(part.tensors, part.scale, weight).delta(weight)[None]


def cut_to_rank(matrices: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factor matrices [n, out, in] into [n, rank, in], rows of length 1, and [n, out, rank], as near as `rank` allows.

    Large ones are cut by a randomized SVD, which draws from PyTorch's own generator.
    """
    smaller = min(matrices.shape[1:])
    if smaller <= EXACT_SIZE or rank + OVERSAMPLED >= smaller:
        left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    else:
        left, values, right = torch.svd_lowrank(matrices, rank + OVERSAMPLED, POWER_ITERATIONS)
        right = right.mT
    return right[:, :rank], left[..., :rank] * values[:, None, :rank]


def _factors(part: _Part, layer: str) -> tuple[Tensor, Tensor]:
    """Of a change of low rank, its factors [n, rank, in] and [n, out, rank]; n is 1, or the heads of `audio_head`.

    Raises InvalidInputError for another change.
    """
    match part.tensors:
        case HeadTensors(num_heads, down, up):
            return down.unflatten(0, (num_heads, -1)), up.unflatten(1, (-1, num_heads)).permute(2, 0, 1)
        case LoraTensors(down, up, None):
            return down[None], up[None]
        case LohaTensors():
            parts = loha_as_lora(Layer("loha", vars(part.tensors))).parts
            return parts["down"][None], parts["up"][None]
    raise InvalidInputError(
        f"A DoRA or LoKr changes {layer} by more than a rank, so an exact sum would be as large as the base.",
        "Choose svd, which comes close to it; or mix the styles without merging them.",
    )


def _lora(down: Tensor, up: Tensor) -> Layer:
    """A layer of these factors, as PEFT lays out those of `audio_head`, too: heads first in one, last in the other."""
    return Layer("lora", {"down": down.flatten(0, 1), "up": up.permute(1, 2, 0).flatten(1)})
