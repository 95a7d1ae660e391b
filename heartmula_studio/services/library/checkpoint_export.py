"""A stored style on its way out, in the format of another program."""

from collections.abc import Iterator
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.files.atomic import replaced_file, replaced_folder
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.generate.adapter_formats.exporting import SingleFile, write_merged_style, write_single_file
from heartmula_studio.services.library.checkpoint_import import called
from heartmula_studio.store.archives import CHUNK_BYTES, zipped
from heartmula_studio.store.names import safe_filename, safe_stem
from heartmula_studio.store.records import Checkpoint
from heartmula_studio.store.store import Store
from heartmula_studio.store.style_files import STYLE_FORMATS

SINGLE_FILES: dict[str, SingleFile] = {"safetensors": "safetensors", "kohya": "kohya", "comfyui": "comfyui"}


def export_stream(store: Store, base: BaseFolder, id: str, format: str) -> tuple[str, Iterator[bytes]]:
    """A file name after the style, and that file piece by piece: a zip, or one safetensors file.

    It is written beforehand, so that what cannot be written is said before the first byte. Raises NotFoundError,
    InvalidInputError for a format that is none, CheckpointError, StorageError.
    """
    require_format(format)
    if format == "peft":
        return store.checkpoints.export(id)
    record = store.checkpoints.get(id)
    suffix = ".safetensors" if format in SINGLE_FILES else ".zip"
    pieces = _pieces(store, base, record, format)
    next(pieces)
    return safe_filename(f"{_plain(record.name)}-{format}{suffix}"), pieces


def export_to_path(store: Store, base: BaseFolder, id: str, format: str, path: Path) -> None:
    """Write a style to a new file, or a new folder for `peft` and `merged`, whole or not at all. Raises as above."""
    require_format(format)
    record = store.checkpoints.get(id)
    if path.exists():
        raise ConflictError(f"{path} already exists.", "Give a new name.")
    with disk_explained(path):
        if format in SINGLE_FILES:
            with replaced_file(path) as temporary:
                _write_file(store, base, record, format, temporary)
        else:
            with replaced_folder(path) as temporary:
                _write_folder(store, base, record, format, temporary)


def require_format(format: str) -> None:
    """Raises InvalidInputError for what is none."""
    if format not in STYLE_FORMATS:
        raise InvalidInputError(f"The format is {format!r:.40}.", f"Allowed: {', '.join(STYLE_FORMATS)}.")


def _pieces(store: Store, base: BaseFolder, record: Checkpoint, format: str) -> Iterator[bytes]:
    """Yield nothing once all is written, then the pieces; what was written vanishes at the end."""
    with store.scratch() as scratch:
        if format in SINGLE_FILES:
            _write_file(store, base, record, format, scratch / "style.safetensors")
            yield b""
            with (scratch / "style.safetensors").open("rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    yield piece
            return
        _write_folder(store, base, record, format, scratch)
        yield b""
        yield from zipped(sorted(scratch.iterdir()), safe_stem(f"{_plain(record.name)}-{format}"))


def _write_file(store: Store, base: BaseFolder, record: Checkpoint, format: str, path: Path) -> None:
    folder = store.checkpoints.folder(record.id)
    about = {"name": record.name, "styles": ", ".join(record.styles), "base_model": record.base_model.get("name", "")}
    with called(folder, record.name), disk_explained(path):
        write_single_file(folder, base, SINGLE_FILES[format], path, about)


def _write_folder(store: Store, base: BaseFolder, record: Checkpoint, format: str, target: Path) -> None:
    folder = store.checkpoints.folder(record.id)
    with called(folder, record.name), disk_explained(target):
        if format == "merged" and record.method == "lora":
            write_merged_style(folder, base, target)
        else:
            store.checkpoints.write_copy(record.id, target)


def _plain(name: str) -> str:
    return name.replace("/", "-").replace("\\", "-")
