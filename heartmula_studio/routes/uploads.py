"""What the page and `gradio_client` upload: Gradio's own call, with limits, clear refusals and nothing left behind.

Gradio allows one size for every kind of file, answers a bare 500 where the disk is full, and keeps broken-off parts.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter, Request

from heartmula_studio.files.disk import disk_explained
from heartmula_studio.routes.multipart import OpenFile, check_room, streamed_form
from heartmula_studio.settings import Settings
from heartmula_studio.store.incoming import IMPORT_LIMIT, UPLOAD_LIMIT, Incoming
from heartmula_studio.store.names import safe_filename

# Styles and whole datasets; all else is a song or its lyrics.
IMPORT_SUFFIXES = (".zip", ".safetensors", ".tar", ".gz", ".tgz", ".parquet")
FILES_FIELD = "files"
MAX_FILES = 1000


class Progress(Protocol):
    """What tells a page how far its upload is: Gradio's `FileUploadProgress`."""

    def track(self, upload_id: str) -> None: ...
    def append(self, upload_id: str, filename: str, message_bytes: bytes) -> None: ...
    def set_done(self, upload_id: str) -> None: ...


@dataclass(frozen=True)
class Uploads:
    """Where uploads go, and who hears of them."""

    folder: Path  # Gradio's: only what lies there may be named in a call
    settings: Settings
    progress: Progress
    kept: set[str]  # paths that Gradio deletes after a day

    @contextmanager
    def receiving(self, filename: str) -> Iterator[Incoming]:
        """Yield a file in a folder of its own, which vanishes where anything fails.

        Raises UploadTooLargeError, StorageError.
        """
        is_import = filename.lower().endswith(IMPORT_SUFFIXES)
        limit = IMPORT_LIMIT if is_import else UPLOAD_LIMIT
        max_bytes = self.settings.max_import_bytes if is_import else self.settings.max_upload_bytes
        place = self.folder / secrets.token_hex(16)
        path = place / safe_filename(filename)
        try:
            with disk_explained(path):
                place.mkdir(parents=True)
                file = path.open("xb", buffering=0)
            with file:
                yield Incoming(path, file, filename, max_bytes, limit)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise


class _Reported:
    """An upload whose page hears how far it is."""

    def __init__(self, incoming: Incoming, progress: Progress, upload_id: str):
        self.path = incoming.path
        self._incoming, self._progress, self._upload_id = incoming, progress, upload_id

    def write(self, chunk: bytes) -> None:
        self._incoming.write(chunk)
        self._progress.append(self._upload_id, self._incoming.original_name, chunk)


def upload_router(uploads: Uploads) -> APIRouter:
    """Return the route that stands in for Gradio's."""
    router = APIRouter(include_in_schema=False)

    @router.post("/gradio_api/upload")
    async def upload(request: Request, upload_id: str | None = None) -> list[str]:
        """Return where the files lie."""
        uploads.folder.mkdir(parents=True, exist_ok=True)
        check_room(request.headers, uploads.folder)
        if upload_id is None:
            return await receive(request, uploads.receiving)
        uploads.progress.track(upload_id)

        @contextmanager
        def reported(filename: str) -> Iterator[_Reported]:
            with uploads.receiving(filename) as incoming:
                yield _Reported(incoming, uploads.progress, upload_id)

        try:
            return await receive(request, reported)
        finally:
            uploads.progress.set_done(upload_id)

    async def receive(request: Request, open_file: OpenFile) -> list[str]:
        async with streamed_form(request, open_file, uploads.settings.max_import_bytes, FILES_FIELD, MAX_FILES) as form:
            paths = [str(file.path) for file in form.files]
        uploads.kept.update(paths)
        return paths

    return router
