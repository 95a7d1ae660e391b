"""What each worker does: one shard after another, with a codec that it loads once."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.catalogue import Catalogue


@dataclass(frozen=True)
class ShardTask:
    """One shard of a catalogue to write. Paths are those that the worker sees."""

    folder: str
    audio: str
    number: int
    base: str
    device: str
    limits: AudioLimits


def write_shard(task: ShardTask) -> int:
    """Write a shard, unless it is there; return its number."""
    catalogue = Catalogue(Path(task.folder), Path(task.audio))
    if not catalogue.shard(task.number).is_file():
        catalogue.write_shard(task.number, codec_of(task.base, task.device), task.limits)
    return task.number


@functools.cache
def codec_of(base: str, device: str) -> Codec:
    torch.set_num_threads(1)  # workers share the cores among them
    return Codec.load(find_base(base), torch.device(device))
