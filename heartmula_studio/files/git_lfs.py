"""Git LFS pointers: what `git clone` leaves in place of large files where Git LFS is not installed."""

from pathlib import Path

from heartmula_studio.files.regular_file import open_regular

POINTER_START = b"version https://git-lfs.github.com/"


def is_lfs_pointer(path: str | Path) -> bool:
    """Whether a file is a pointer; what cannot be read as a file is none."""
    try:
        with open_regular(Path(path)) as file:
            return file.read(len(POINTER_START)) == POINTER_START
    except OSError:
        return False


def explain_unreadable(path: str | Path, problem: str) -> str:
    """The sentence for a file that holds something else than its name says: `problem`, unless it is a pointer."""
    if is_lfs_pointer(path):
        return f"{path} is a Git LFS pointer of a few lines, not the file it stands for."
    return f"{path} {problem}."
