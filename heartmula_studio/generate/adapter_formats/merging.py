"""An adapter merged into its base: full weights in heartlib's layout, written a tensor at a time."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import open_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.stored_weights import StoredNetwork, as_in
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.files.safetensors_reader import DTYPES, TensorFile
from heartmula_studio.files.safetensors_writer import TensorSpec, write_sharded
from heartmula_studio.generate.adapter_formats.layers import Layer, changed_weight
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD
from heartmula_studio.generate.finite import require_finite


class BaseWeights:
    """The base's parameters on disk, read one at a time. Raises as `open_heartmula` and `require_fit`."""

    def __init__(self, folder: Path):
        self._stored: StoredNetwork[HeartMuLa] = open_heartmula(folder)
        self._stored.require_fit()
        self._expected = self._stored.module.state_dict()
        self.config = self._stored.module.config

    def read(self, name: str) -> Tensor:
        """The values of a parameter in float32."""
        stored = self._stored.tensors[name]
        with TensorFile(stored.path) as file:
            return as_in(self._expected[name], file.read(stored.name, "cpu", torch.float32))

    def specs(self, dtype: torch.dtype | None) -> dict[str, TensorSpec]:
        """Types and shapes for a copy of all parameters; None keeps the types."""
        return {
            name: TensorSpec(dtype or DTYPES[self._stored.tensors[name].header.dtype], tuple(tensor.shape))
            for name, tensor in self._expected.items()
        }


def write_merged(
    base: Path,
    layers: Mapping[str, Layer],
    values: Mapping[str, Tensor],
    folder: Path,
    called: str,
    dtype: torch.dtype | None = None,
) -> None:
    """Write the base with an adapter in it: model*.safetensors and config.json, in a folder that exists.

    layers, values: as of a `ForeignAdapter`. Sums are formed in float32 and stored as `dtype`, by default the base's.
    Raises CheckpointError where base or adapter cannot be used; the folder may hold some files then.
    """
    weights = BaseWeights(base)
    write_sharded(folder, weights.specs(dtype), merged_reader(weights.read, layers, values, called))
    config = json.dumps(weights.config.to_dict(), indent=1) + "\n"
    (folder / "config.json").write_text(config, encoding="utf-8")


def merged_reader(
    read_base: Callable[[str], Tensor], layers: Mapping[str, Layer], values: Mapping[str, Tensor], called: str
) -> Callable[[str], Tensor]:
    """A function from a parameter's name to its values with the adapter in it, in float32."""

    def read(name: str) -> Tensor:
        value = values[name].float() if name in values else read_base(name)
        layer = layers.get(name if name == AUDIO_HEAD else name.removesuffix(".weight"))
        if layer is not None and (name == AUDIO_HEAD or name.endswith(".weight")):
            with _shapes_explained(called, name):
                value = changed_weight(value, layer)
        if name in values or layer is not None:
            require_finite(value, Path(called), name)
        return value

    return read


@contextmanager
def _shapes_explained(called: str, name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CheckpointMismatchError(
            f"{called} cannot be applied to {name}: {error}.", "Train the style again on this base."
        ) from error
