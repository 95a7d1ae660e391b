"""Uploads and downloads through Gradio."""

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from gradio.data_classes import FileData
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from heartmula_studio.errors import InvalidInputError

CHUNK_BYTES = 1 << 20

# A download button's new file, saved without another press.
SAVE_FILE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name ?? "";
  link.click();
}"""


def uploaded_file(file: object) -> tuple[Path, str]:
    """Return the path of an uploaded file, and its original name.

    Raises InvalidInputError for anything else: a client may put any path of this machine into a request.
    """
    given = file if isinstance(file, dict) else {}
    path = given.get("path")
    if not isinstance(path, str) or "\0" in path or not _is_upload(Path(path)):
        raise InvalidInputError("This is not an uploaded file.", "Give it as gradio_client.handle_file(path).")
    name = given.get("orig_name")
    return Path(path), name if isinstance(name, str) and name else Path(path).name


def served_file(path: Path) -> dict:
    """Return what a client downloads: a copy, because the data folder itself is not served by Gradio."""
    return FileData(path=save_file_to_cache(path, get_upload_folder()), orig_name=path.name).model_dump()


def served_copy(path: Path, name: str) -> dict:
    """Return what a client downloads, under a name that does not say where it lies."""
    with path.open("rb") as file:
        return served_stream(name, iter(lambda: file.read(CHUNK_BYTES), b""))


def served_stream(filename: str, chunks: Iterable[bytes]) -> dict:
    """Write the chunks to a file of this name, which the store has made safe, and return what a client downloads.

    Nothing is left where that fails.
    """
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    path = folder / filename
    try:
        with path.open("wb") as file:
            file.writelines(chunks)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileData(path=str(path), orig_name=filename).model_dump()


def _is_upload(path: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(Path(get_upload_folder()).resolve())
