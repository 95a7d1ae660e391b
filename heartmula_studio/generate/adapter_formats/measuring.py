"""How much of the base a style changes, and how strongly: what every import says."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.generate.adapter_formats.folders import read_folder, read_stored
from heartmula_studio.generate.adapter_formats.layers import changed_weight, delta_norm
from heartmula_studio.generate.adapter_formats.merging import BaseWeights
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD
from heartmula_studio.generate.base_model import BaseModel, describe_base

NO_CHANGE_WARNING = "It changes nothing: songs will be the base's own. Was it saved before it had learnt anything?"
FAINT = 1e-5
FAINT_WARNING = "It changes the base by {share:.1g} of its size, which nobody can hear. Is its alpha right?"
STRONG = 1.0
STRONG_WARNING = "It changes {layer} by {share:.3g} times its size. Is its alpha right? Try a lower strength first."


@dataclass(frozen=True)
class StyleChange:
    """Weights that a style changes, of how many; relative_norm: ‖ΔW‖/‖W‖ over those; strongest: of one, by name."""

    changed: int
    of: int
    relative_norm: float
    strongest: str
    strongest_norm: float

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self.changed:
            return (NO_CHANGE_WARNING,)
        if self.relative_norm < FAINT:
            return (FAINT_WARNING.format(share=self.relative_norm),)
        if self.strongest_norm > STRONG:
            return (STRONG_WARNING.format(layer=self.strongest, share=self.strongest_norm),)
        return ()


def measure_style(folder: Path, base: BaseFolder, is_full: bool) -> StyleChange:
    """Measure a stored style against its base, reading both once. Raises CheckpointError."""
    model = describe_base(base)
    norms = _full_norms(folder, base.model) if is_full else _adapter_norms(folder, base.model, model)
    return summarise({name: pair for name, pair in norms if pair[0] > 0}, len(model.shapes))


def summarise(norms: Mapping[str, tuple[float, float]], of: int) -> StyleChange:
    """Sum up (‖ΔW‖, ‖W‖) of the weights that differ."""
    if not norms:
        return StyleChange(0, of, 0.0, "", 0.0)
    shares = {name: change / max(size, 1e-30) for name, (change, size) in norms.items()}
    strongest = max(shares, key=lambda name: shares[name])
    total, size = (math.sqrt(sum(pair[i] ** 2 for pair in norms.values())) for i in (0, 1))
    return StyleChange(len(norms), of, total / max(size, 1e-30), strongest, shares[strongest])


def _full_norms(folder: Path, base: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    ours, theirs = BaseWeights(base), BaseWeights(folder)
    for name in ours.specs(None):
        weight = ours.read(name)
        yield name, ((theirs.read(name) - weight).norm().item(), weight.norm().item())


def _adapter_norms(folder: Path, base: Path, model: BaseModel) -> Iterator[tuple[str, tuple[float, float]]]:
    adapter = read_stored(read_folder(folder), model, str(folder))
    for name, layer in adapter.layers.items():
        full = name if name == AUDIO_HEAD else f"{name}.weight"
        shape = model.shapes[full]
        if layer.magnitude is None:
            yield name, (delta_norm(layer, shape), _base_norm(base, model.fingerprint, full))
            continue
        weight = BaseWeights(base).read(full)
        yield name, ((changed_weight(weight, layer) - weight).norm().item(), weight.norm().item())


@lru_cache(maxsize=4096)
def _base_norm(folder: Path, fingerprint: str, name: str) -> float:
    return BaseWeights(folder).read(name).norm().item()
