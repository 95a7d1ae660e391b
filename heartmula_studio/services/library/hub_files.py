"""Files of the Hugging Face Hub, fetched so that a kill loses nothing: each goes on at the byte where it ended.

`huggingface_hub` asks and streams; its own downloads begin anew after a kill, which is hours for files of gigabytes.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._headers import build_hf_headers
from tqdm import tqdm

from heartmula_studio.errors import HubError
from heartmula_studio.files.atomic import flush_to_disk
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.moving import move, remove
from heartmula_studio.services.library.hub import hub_errors

UNFINISHED = ".incomplete"
BLOCK_BYTES = 2**22

Watch = Callable[[int], None]
"""Told how many bytes have come or been looked at since the last call; whatever it raises ends the work."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository at one commit, and where it belongs, relative to the model's folder.

    `sha256` is that of what travels by Git LFS; of other files Git's own `blob_id` is known.
    """

    repo: str
    revision: str
    name: str
    target: str
    size_bytes: int
    blob_id: str
    sha256: str | None


def list_files(repo: str, folder: str, wanted: re.Pattern[str]) -> list[HubFile]:
    """List the files of a repository's newest commit whose names match. Raises as `hub_errors`."""
    with hub_errors(repo):
        api = HfApi()
        revision = api.model_info(repo).sha or "main"
        entries = list(api.list_repo_tree(repo, recursive=True, revision=revision))
    return [
        HubFile(
            repo=repo,
            revision=revision,
            name=entry.path,
            target=f"{folder}/{entry.path}" if folder else entry.path,
            size_bytes=entry.size,
            blob_id=entry.blob_id,
            sha256=entry.lfs.sha256 if entry.lfs else None,
        )
        for entry in entries
        if isinstance(entry, RepoFile) and wanted.fullmatch(entry.path)
    ]


def fetch(file: HubFile, target: Path, watch: Watch) -> None:
    """Have a whole file at `target`, going on with what an earlier call left beside it.

    Raises as `hub_errors`; HubError also for other bytes than the Hub announced, which are removed; StorageError; and
    what `watch` raises, which leaves what has come.
    """
    partial = unfinished(target)
    with disk_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if size_of(partial) > file.size_bytes:
            remove(partial)
        with partial.open("ab") as output, hub_errors(file.repo):
            stream(file, output, size_of(partial), watch)
        flush_to_disk(partial)
        if not matches(file, partial, ignore):
            remove(partial)
            raise HubError(
                f"{file.name} of {file.repo} arrived with other bytes than the Hub announced.",
                "It was removed; download it again.",
            )
        move(partial, target)


def stream(file: HubFile, output: BinaryIO, done: int, watch: Watch) -> None:
    """Append to an open file what follows its first `done` bytes. Raises HubError, StorageError."""

    class Bar(tqdm):  # type: ignore[type-arg]  # the client wants a bar of this kind; it counts nothing
        """Is not shown, and passes on what it is told."""

        def __init__(self, **_: object):
            super().__init__(disable=True)

        def update(self, n: float | None = 1) -> bool | None:
            watch(int(n or 0))
            return None

    url, headers = hf_hub_url(file.repo, file.name, revision=file.revision), build_hf_headers()
    try:
        http_get(url, output, resume_size=done, headers=headers, expected_size=file.size_bytes, tqdm_class=Bar)
    except (HfHubHTTPError, OfflineModeIsEnabled):  # they count as errors of the system, too
        raise
    except OSError as error:
        if error.errno is None:
            hint = "Download it again; it goes on from there."
            raise HubError(f"{file.name} of {file.repo} arrived cut off: {error}", hint) from error
        with disk_explained(Path(output.name)):
            raise


def matches(file: HubFile, path: Path, watch: Watch) -> bool:
    """Tell whether a file is there with the bytes that the Hub announced. Raises OSError, and what `watch` raises."""
    if not path.is_file() or size_of(path) != file.size_bytes:
        return False
    header = b"" if file.sha256 else b"blob %d\0" % file.size_bytes  # as Git hashes a file
    digest = hashlib.new("sha256" if file.sha256 else "sha1", header, usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(BLOCK_BYTES):
            watch(len(block))
            digest.update(block)
    return digest.hexdigest() == (file.sha256 or file.blob_id)


def unfinished(target: Path) -> Path:
    return target.with_name(target.name + UNFINISHED)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def ignore(_: int) -> None:
    """Watch nothing."""
