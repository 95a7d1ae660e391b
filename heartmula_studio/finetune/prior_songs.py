"""Songs that a base itself made, kept beside it: learnt along with the tracks, they keep what it could do before.

Prior preservation: Ruiz et al., "DreamBooth" (arXiv 2208.12242), section 3.2.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from heartmula_studio.errors import CheckpointCorruptError, InvalidInputError
from heartmula_studio.files.atomic import replaced_file

PRIOR_SONGS = "prior_songs.safetensors"


@dataclass(frozen=True)
class PriorSong:
    """A song of the base: the tags it was asked for, its codes [K, T], and whether it ended by itself."""

    tags: str
    codes: Tensor
    ends: bool


def save_prior_songs(base_root: Path, songs: Sequence[PriorSong]) -> None:
    """Put songs beside the base that made them, whole or not at all."""
    tensors = {f"{number:03}": song.codes.to(torch.int16).contiguous() for number, song in enumerate(songs)}
    about = {"tags": json.dumps([song.tags for song in songs]), "ends": json.dumps([song.ends for song in songs])}
    with replaced_file(base_root / PRIOR_SONGS) as temporary:
        save_file(tensors, temporary, about)


def load_prior_songs(base_root: Path) -> list[PriorSong]:
    """Read the songs of a base, given its folder.

    Raises InvalidInputError where there are none, CheckpointCorruptError where they cannot be read.
    """
    path = base_root / PRIOR_SONGS
    if not path.is_file():
        raise InvalidInputError(
            f"prior_fraction is above 0, but {path} is missing.",
            "Let the base make songs once (`heartmula-studio prior-songs`), or use prior_fraction 0.",
        )
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            kinds = zip(sorted(file.keys()), json.loads(about["tags"]), json.loads(about["ends"]), strict=True)
            return [PriorSong(str(tags), file.get_tensor(key), bool(ends)) for key, tags, ends in kinds]
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointCorruptError(
            f"{path} cannot be read: {error}", "Delete it and let the base make new ones."
        ) from error
