"""The singing voice of a recording alone, by Demucs, an optional extra: `pip install 'heartmula-studio[vocals]'`.

Its own loader builds any class that a file names, and its older files are pickles, which can run any program. Here only
its own networks are built, from safetensors, as its repositories on the Hugging Face Hub hold them.
"""

import inspect
import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from heartmula_studio.arch.unfilled import without_weights
from heartmula_studio.codec.audio_file import AudioSource
from heartmula_studio.codec.control import Cancelled, check_cancelled, stoppable
from heartmula_studio.codec.resample import regroup, resample_blocks
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError
from heartmula_studio.files.safetensors_reader import TensorFile, read_metadata

NETWORKS = {f"{network.__module__}.{network.__name__}": network for network in (Demucs, HDemucs, HTDemucs)}
"""By the names that files call them."""

VOCALS = "vocals"
PIECE_SEC, MARGIN_SEC = 60, 4  # of what is separated at once; margins on both sides are heard and thrown away
SMALLEST_DEVIATION = 1e-8


class VocalSeparator:
    """A model in memory. One thread at a time."""

    def __init__(self, folder: Path, device: torch.device):
        """Load a folder with the YAML file that lists its networks, and their safetensors.

        Raises CheckpointError: for files that are missing or damaged, for other networks than Demucs's, and for a model
        that knows no vocals.
        """
        self._model, self._device = _load_model(folder), device
        if VOCALS not in self._model.sources:
            known = ", ".join(map(str, self._model.sources))
            raise CheckpointMismatchError(f"{folder} separates {known}.", "Choose a model that separates vocals.")

    def read_blocks(
        self, path: Path, sample_rate_hz: int, block_samples: int, cancelled: Cancelled | None = None
    ) -> Iterator[Tensor]:
        """Yield the voice as `audio_file.read_blocks` yields the whole recording, but for the number of channels.

        Memory does not grow with its length. Raises a subclass of AudioError, CancelledError.
        """
        rate_hz = self._model.samplerate
        blocks = AudioSource.find(path).read_blocks(rate_hz, PIECE_SEC * rate_hz)
        vocals = (
            self._vocals(piece, cancelled)[:, start:end] for piece, start, end in _pieces(blocks, MARGIN_SEC * rate_hz)
        )
        yield from regroup(resample_blocks(vocals, rate_hz, sample_rate_hz), block_samples)

    def _vocals(self, mix: Tensor, cancelled: Cancelled | None) -> Tensor:
        """The voice [channels, n] of a stretch [2, n]."""
        check_cancelled(cancelled)
        if self._model.audio_channels == 1:
            mix = mix.mean(dim=0, keepdim=True)
        mean, deviation = mix.mean(), mix.std() + SMALLEST_DEVIATION
        with torch.inference_mode(), stoppable(self._model, cancelled):
            sources = apply_model(self._model, ((mix - mean) / deviation)[None], shifts=0, device=self._device)[0]
        return sources[self._model.sources.index(VOCALS)].cpu() * deviation + mean


def _pieces(blocks: Iterator[Tensor], margin: int) -> Iterator[tuple[Tensor, int, int]]:
    """Yield each block [C, n] with a margin of its neighbours, and from where to where it is the block itself."""
    before = current = None
    for following in chain(blocks, (None,)):
        if current is not None:
            left = current[:, :0] if before is None else before[:, -margin:]
            right = current[:, :0] if following is None else following[:, :margin]
            start = left.shape[1]
            yield torch.cat((left, current, right), dim=1), start, start + current.shape[1]
        before, current = current, following


def _load_model(folder: Path) -> Any:
    try:
        bag = _read_bag(folder)
        networks = [_load_network(folder / f"{name}.safetensors") for name in bag["models"]]
        return BagOfModels(networks, bag.get("weights"), bag.get("segment")).eval()
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError, yaml.YAMLError) as error:
        raise CheckpointCorruptError(
            f"{folder} cannot be loaded as Demucs: {error}", "Copy or download it again."
        ) from error


def _read_bag(folder: Path) -> dict[str, Any]:
    """Which networks a folder holds. Raises ValueError unless one YAML file lists files of this folder."""
    lists = sorted(folder.glob("*.yaml"))
    bag: Any = yaml.safe_load(lists[0].read_bytes()) if lists else {}
    names = bag.get("models") if isinstance(bag, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n.isalnum() for n in names):
        raise ValueError("it has no YAML file that lists its networks")
    return dict(bag)


def _load_network(path: Path) -> nn.Module:
    """A network with its weights in float32. Raises CheckpointMismatchError for one that is not Demucs's."""
    metadata = read_metadata(path)
    named = metadata.get("klass", "")
    network = NETWORKS.get(named)
    if network is None or "structure" in metadata:
        how = "quantised, which is" if network else "which is"
        raise CheckpointMismatchError(
            f"{path} holds {named!r}, {how} not read.", f"Allowed are {', '.join(NETWORKS)}, in whole weights."
        )
    known = inspect.signature(network).parameters
    settings = {key: value for key, value in _decoded(metadata["kwargs"]).items() if key in known}
    with without_weights():  # nothing is allocated before the file has shown that it holds as much
        model = network(*_decoded(metadata["args"]), **settings)
    with TensorFile(path) as file:
        expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
        if file.shapes != expected:
            odd = sorted(file.shapes.items() ^ expected.items())[0][0]
            raise ValueError(f"{odd} of {path.name} does not fit the network that it names")
        weights = {name: file.read(name, "cpu", torch.float32) for name in expected}
    model.load_state_dict(weights, assign=True)
    return model


def _decoded(text: str) -> Any:
    """Settings as Demucs writes them: JSON with fractions as objects."""

    def fraction(value: dict[str, Any]) -> object:
        return Fraction(value["numerator"], value["denominator"]) if value.get("_type") == "fraction" else value

    return json.loads(text, object_hook=fraction)
