"""The songs that come along, with what their makers allow: to try everything with before one's own are at hand."""

import json
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.arch.checkpoints import ASSETS

CLIPS = ASSETS / "clips"


@dataclass(frozen=True)
class Clips:
    """Songs of one style. `tags` are separated by commas; `lyrics` and `rights` are those of each."""

    paths: tuple[Path, ...]
    tags: str
    lyrics: str
    rights: str


def bundled_clips(kind: str) -> Clips:
    """The clips of a kind: `style` to learn from, `other` to compare with."""
    entry = json.loads((CLIPS / "clips.json").read_text(encoding="utf-8"))[kind]
    return Clips(tuple(CLIPS / name for name in entry["files"]), entry["tags"], entry["lyrics"], entry["rights"])
