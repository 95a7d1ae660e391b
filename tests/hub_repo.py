"""The repositories of a Hub: snapshots of files, and what the Hub says of each.

Wire format: the source of huggingface_hub 2.4, as in hub_endpoint.py.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

LFS_BYTES = 10_000
"""Files from this size on, and all weights and recordings, travel by Git LFS."""

LFS_SUFFIXES = (".safetensors", ".parquet", ".wav", ".flac", ".mp3", ".ogg", ".bin")


@dataclass
class Repo:
    """A repository: whole snapshots by commit, the newest last. Nobody has passed a gate."""

    id: str
    kind: str = "model"
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes]) -> str:
        content = "".join(f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(files.items()))
        sha = hashlib.sha1(f"{self.id} {len(self.commits)} {content}".encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def card(self) -> dict[str, Any]:
        """The YAML at the start of README.md."""
        match = re.match(r"---\n(.*?)\n---", self.files.get("README.md", b"").decode(), re.DOTALL)
        return (yaml.safe_load(match[1]) if match else None) or {}

    def described(self, commit: str) -> dict[str, Any]:
        """What the Hub says of the repository, as of a commit."""
        card = self.card()
        return {
            "_id": hashlib.sha1(self.id.encode()).hexdigest()[:24],
            "id": self.id,
            "modelId": self.id,
            "author": self.id.split("/")[0],
            "sha": commit,
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": card.get("tags") or [],
            "cardData": card,
            "lastModified": "2026-11-29T00:00:00.000Z",
            "createdAt": "2026-11-29T00:00:00.000Z",
            "siblings": [{"rfilename": name, "size": len(data)} for name, data in self.commits[commit].items()],
        }


def is_large(path: str, size: int) -> bool:
    return size >= LFS_BYTES or path.endswith(LFS_SUFFIXES)


def oid_of(path: str, data: bytes) -> str:
    """SHA-256 of what travels by LFS, else what Git calls the blob."""
    if is_large(path, len(data)):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def file_entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": oid_of(path, data)}
    if is_large(path, len(data)):
        entry["lfs"] = {"oid": entry["oid"], "size": len(data), "pointerSize": 130}
    return entry
