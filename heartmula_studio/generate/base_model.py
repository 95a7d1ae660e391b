"""The base model as far as a style is checked against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from heartmula_studio.arch.checkpoints import BaseFolder, read_heartmula_config
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.unfilled import without_weights
from heartmula_studio.files.hashing import fingerprint


@dataclass(frozen=True)
class BaseModel:
    """A base's config, the shapes of its parameters, and the sizes (out, in) of its linear layers, by name."""

    config: HeartMuLaConfig
    shapes: Mapping[str, tuple[int, ...]]
    linear_layers: Mapping[str, tuple[int, int]]
    fingerprint: str

    @classmethod
    def of(cls, model: HeartMuLa, fingerprint: str) -> "BaseModel":
        """Describe a model without a style on it; its weights may be on the meta device."""
        shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        sizes = {name: (module.out_features, module.in_features) for name, module in linear.items()}
        return cls(model.config, shapes, sizes, fingerprint)


def describe_base(base: BaseFolder) -> BaseModel:
    """Say what a style is checked against without loading the base. Raises CheckpointError as reading its config."""
    return _describe(base.model, fingerprint(base.model))


@lru_cache(maxsize=4)
def _describe(folder: Path, fingerprint: str) -> BaseModel:
    with without_weights():
        network = HeartMuLa(read_heartmula_config(folder))
    return BaseModel.of(network, fingerprint)
