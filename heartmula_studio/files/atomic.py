"""Folders and files that appear whole or not at all: written under a temporary name, flushed, then renamed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heartmula_studio.files.moving import move, remove

TEMPORARY_PREFIX = ".tmp-"
OLD_SUFFIX = "-old"


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` on success and vanishes on failure."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{folder.name}-", dir=folder.parent))
    temporary.chmod(0o755)
    old = temporary.with_name(temporary.name + OLD_SUFFIX)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # some libraries write files that only their owner can read
            flush_to_disk(path)
        if folder.exists():
            move(folder, old)
        move(temporary, folder)
        flush_to_disk(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old.exists() and not folder.exists():
            move(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def recover_folder(folder: Path) -> None:
    """Tidy up beside `folder` after a `replaced_folder` that was killed: nothing may be writing it now.

    If the kill fell between its two renames, the old contents come back; all its other temporaries are removed.
    """
    name = re.compile(re.escape(f"{TEMPORARY_PREFIX}{folder.name}-") + f"[a-z0-9_]{{8}}({OLD_SUFFIX})?")  # as mkdtemp
    for path in sorted(folder.parent.glob(f"{TEMPORARY_PREFIX}*")):
        match = name.fullmatch(path.name)
        if match and match[1] and not folder.exists():
            move(path, folder)
        elif match:
            shutil.rmtree(path)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, with the same suffix, that replaces `path` on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        yield temporary
        flush_to_disk(temporary)
        move(temporary, path)
    finally:
        remove(temporary)


def flush_to_disk(path: Path) -> None:
    """Have a file or, where the system can open it, a folder written out. Raises OSError."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders, and flushes names by itself
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what can be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
