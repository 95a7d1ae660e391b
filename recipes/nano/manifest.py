"""What the training set holds: one record per piece, and the credits its licences ask for."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from heartmula_studio.files.atomic import replaced_file

HELD_OUT_SHARE = 0.06
VERSION_MARK = "--"
TEST_MARK = "_test"

Split = Literal["train", "held_out", "test"]


@dataclass(frozen=True)
class Work:
    """A piece of music and the rights in it. Versions of one piece share the id before `--`."""

    id: str
    title: str
    source_package: str
    licence: str
    credit: str
    tags: tuple[str, ...]
    kind: Literal["recording", "rendered", "composed"]
    lm: bool = True

    @property
    def split(self) -> Split:
        """Told by the id, the same for all versions of a piece: test pieces say so, a hash decides on the others."""
        if TEST_MARK in self.id:
            return "test"
        digest = hashlib.sha256(self.id.split(VERSION_MARK)[0].encode()).digest()
        return "held_out" if int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64 else "train"

    def record(self, duration_sec: float) -> dict:
        """The manifest line of this piece."""
        entry = {"id": self.id, "file": f"audio/{self.id}.flac", "duration_sec": round(duration_sec, 3)}
        return entry | asdict(self) | {"tags": list(self.tags), "split": self.split}


def write_atomically(text: str, path: Path) -> None:
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_manifest(records: Iterable[dict], path: Path) -> None:
    """One JSON object a line; a reader sees the old or the new file, never a part."""
    write_atomically("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), path)


def held_out(work: Path) -> list[dict]:
    """The records of the pieces that nothing is trained on."""
    return [record for record in read_manifest(work / "manifest.jsonl") if record["split"] == "held_out"]


def read_manifest(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
