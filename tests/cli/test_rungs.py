"""A job's checkpoints from a shell."""

import zipfile

import pytest

from heartmula_studio.cli import main
from heartmula_studio.store.store import Store
from tests.ladders import make_ladder


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTMULA_DATA_DIR", str(tmp_path / "data"))
    return make_ladder(Store(tmp_path / "data"))


def test_rungs_are_listed_marked_kept_and_written(job, tmp_path, capsys):
    assert main(["rungs", "star", job.id, "2"]) == 0
    assert main(["rungs", "list", job.id]) == 0
    said = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in said[:4]] == ["0", "2", "4", "6"]
    assert ("starred" in said[1], "recommended" in said[2]) == (True, True)
    assert "ready" in said[4]
    assert main(["rungs", "keep", job.id, "4", "--name", "Mine"]) == 0
    assert capsys.readouterr().out == f"{job.id}-4  Mine\n"
    assert main(["rungs", "download", job.id, "4", "--out", str(tmp_path / "style.zip")]) == 0
    assert len(zipfile.ZipFile(tmp_path / "style.zip").namelist()) == 3


def test_a_rung_that_is_not_there_is_said(job, capsys):
    assert main(["rungs", "keep", job.id, "3"]) == 2
    assert "step 3" in capsys.readouterr().err
