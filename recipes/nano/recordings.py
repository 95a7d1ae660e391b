"""The real recordings: which tracks of which package, with the rights each package's copyright file states.

`recordings.json` lists only tracks whose licence lets weights trained on them be shared freely.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from recipes.nano.audio import mix, read_stereo
from recipes.nano.manifest import Work

TABLE = Path(__file__).with_name("recordings.json")


@dataclass(frozen=True)
class Recording:
    """A recorded piece and the files that are summed to make it. `demo` names the demo clips it is kept for."""

    work: Work
    files: tuple[str, ...]
    archive: str | None
    demo: str | None

    def read(self, packages: Path) -> Tensor:
        """The whole piece, [2, samples] at 24 kHz."""
        return mix([read_stereo(source) for source in self.open(packages)])

    def open(self, packages: Path) -> Iterator[Path | io.BytesIO]:
        folder = packages / self.work.source_package
        if self.archive is None:
            yield from (folder / file for file in self.files)
            return
        with zipfile.ZipFile(folder / self.archive) as archive:
            yield from (io.BytesIO(archive.read(file)) for file in self.files)


def piece_id(prefix: str, file: str) -> str:
    """A readable id: the game, and the file (or, where every folder holds the same files, the folder)."""
    path = Path(file)
    name = path.stem if path.parent == Path() else path.parent.name
    words = "".join(character if character.isalnum() else " " for character in name)
    return "_".join([prefix, *words.lower().split()])


def read_group(group: dict) -> Iterator[Recording]:
    for track in group["tracks"]:
        work = Work(
            id=piece_id(group["prefix"], track["files"][0]),
            title=track["title"],
            source_package=group["package"],
            licence=group["licence"],
            credit=group["credit"],
            tags=(*track.get("tags", ()), *group["tags"]),
            kind="recording",
            lm=group.get("lm", True),
        )
        files = tuple(f"{group['folder']}/{file}" for file in track["files"])
        yield Recording(work, files, group.get("archive"), track.get("demo"))


def recordings() -> list[Recording]:
    """All usable recordings, the demo clips' sources among them."""
    groups = json.loads(TABLE.read_text(encoding="utf-8"))
    return [recording for group in groups for recording in read_group(group)]
