"""Texts on their way out of the server name files as a person knows them, not where the server keeps them.

Errors are raised with whole paths, which the server's log and the shell show.
"""

import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path

_SLASH = r"[/\\]"
_PART = r"[^\s/\\'\"]+"
_END = r"(?=[\s'\"`.,:;)\]]|$)"
_data_folders: set[str] = set()
_other_folders: set[str] = set()


def hide_data_folder(folder: Path) -> None:
    """From now on name the files of a data folder by their path inside it."""
    _hide(folder, _data_folders)


def hide_folder(folder: Path) -> None:
    """From now on name the files under a folder by their names alone."""
    _hide(folder, _other_folders)


def public(text: str) -> str:
    """Return a text without the folders of this server: of data, temporary files, programs, models and homes."""
    for pattern in _patterns(frozenset(_data_folders), frozenset(_other_folders | _common())):
        text = pattern.sub(_shortened, text)
    return text


def _hide(folder: Path, folders: set[str]) -> None:
    for path in (folder.absolute(), folder.resolve()):
        if path != path.parent:  # the root of all would hide everything
            folders.add(str(path))


def _common() -> set[str]:
    folders: set[str] = set()
    programs = (sys.prefix, str(Path(__file__).parents[1]))
    variables = filter(None, (os.environ.get("GRADIO_TEMP_DIR"), os.environ.get("HF_HOME")))
    for folder in (tempfile.gettempdir(), str(Path.home()), *programs, *variables):
        _hide(Path(folder), folders)
    return folders


@cache
def _patterns(data_folders: frozenset[str], others: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """One for each folder, the innermost first: a data folder may lie in a home."""
    below = dict.fromkeys(others, rf"(?:{_PART}{_SLASH})*") | dict.fromkeys(
        data_folders, rf"(?:\.tmp-{_PART}{_SLASH})?"
    )
    return tuple(
        re.compile(
            rf"(?<![\w./\\-])(?P<folder>{re.escape(folder)})(?:(?P<below>{_SLASH}{below[folder]})(?={_PART})|{_SLASH}?{_END})"
        )
        for folder in sorted(below, key=len, reverse=True)
    )


def _shortened(match: re.Match[str]) -> str:
    return "" if match["below"] else Path(match["folder"]).name
