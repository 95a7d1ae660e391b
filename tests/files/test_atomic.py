"""Folders that are whole after every failure, a killed process included."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heartmula_studio.files.atomic import recover_folder, replaced_folder

ROOT = Path(__file__).parents[2]
KILLED_BETWEEN_RENAMES = """
import os, pathlib, signal, sys
from heartmula_studio.files.atomic import replaced_folder

def kill(event, arguments):
    if event == "os.rename":
        renames.append(arguments)
        if len(renames) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

renames = []
sys.addaudithook(kill)
with replaced_folder(pathlib.Path(sys.argv[1])) as temporary:
    (temporary / "weights").write_text("new")
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / "weights").write_text("old")
    return folder


def test_folder_is_replaced_whole(folder):
    with replaced_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
        assert (folder / "weights").read_text() == "old"
    assert (folder / "weights").read_text() == "new"
    assert list(folder.parent.iterdir()) == [folder]


def test_old_folder_comes_back_where_the_new_one_cannot_take_its_place(folder):
    with pytest.raises(FileNotFoundError), replaced_folder(folder) as temporary:
        shutil.rmtree(temporary)
    assert (folder / "weights").read_text() == "old"
    assert list(folder.parent.iterdir()) == [folder]


def test_recovery_after_a_kill_between_the_two_renames(folder):
    (folder.parent / ".tmp-best-2-abcdefgh").mkdir()
    command = [sys.executable, "-c", KILLED_BETWEEN_RENAMES, str(folder)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode < 0
    assert not folder.exists()
    recover_folder(folder)
    assert (folder / "weights").read_text() == "old"
    assert sorted(path.name for path in folder.parent.iterdir()) == [".tmp-best-2-abcdefgh", "best"]


def test_recovery_keeps_a_folder_that_is_there(folder):
    for suffix in ("", "-old"):
        (folder.parent / f".tmp-best-abcdefgh{suffix}").mkdir()
    recover_folder(folder)
    assert (folder / "weights").read_text() == "old"
    assert list(folder.parent.iterdir()) == [folder]
