"""A job's checkpoints, and blind auditions of them, from a shell."""

import re
import zipfile

import pytest
import soundfile

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


def test_a_blind_audition_from_the_order_to_listen_in_to_the_result(job, tmp_path, capsys):
    out = tmp_path / "blind"
    start = ["auditions", "start", job.id, "4", "--trials", "3", "--out", str(out)]
    assert main(start) == 0
    *order, last = capsys.readouterr().out.splitlines()
    assert order == [str(out / f"{trial:02d}-{side}.flac") for trial in (1, 2, 3) for side in "ab"]
    songs = [soundfile.read(path)[0] for path in order]
    assert not any((a == b).all() for a, b in zip(songs[::2], songs[1::2], strict=True))
    assert main(start) == 7
    id = last.partition(":")[0]
    assert main(["auditions", "vote", job.id, id, "a"]) == 0
    assert "1 of 3 votes" in capsys.readouterr().out
    assert main(["auditions", "vote", job.id, id, "a", "b", "a"]) == 7
    assert main(["auditions", "vote", job.id, id, "a", "b"]) == 0
    capsys.readouterr()
    assert main(["auditions", "list", job.id]) == 0
    assert re.fullmatch(rf"{id}  step 4  You told it from the base in \d of 3\. .*\n", capsys.readouterr().out)
