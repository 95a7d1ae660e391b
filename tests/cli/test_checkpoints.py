"""The studio's styles from a shell."""

import shutil

import pytest

from heartmula_studio.cli import main
from tests.still_studio import zipped_adapter


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTMULA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HEARTMULA_BASE_MODEL", "nano")
    zipped_adapter(tmp_path)
    return tmp_path / "adapter"


def test_a_style_comes_in_and_goes_out(adapter, tmp_path, capsys):
    """A trainer's folder, of which one step is chosen."""
    run = tmp_path / "run"
    for step in ("checkpoint-10", "checkpoint-20"):
        shutil.copytree(adapter, run / step)
    assert main(["checkpoints", "import", str(run)]) == 2
    assert "Choose one of: checkpoint-20, checkpoint-10" in capsys.readouterr().err
    assert main(["checkpoints", "import", str(run), "--which", "checkpoint-20", "--name", "Night"]) == 0
    said = capsys.readouterr().out
    assert "Changes 1 of " in said
    assert main(["checkpoints", "list"]) == 0
    id = capsys.readouterr().out.split()[0]
    for format, name in (("peft", "folder"), ("kohya", "k.safetensors"), ("merged", "merged")):
        assert main(["checkpoints", "export", id, "--format", format, "--out", str(tmp_path / name)]) == 0
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {"model.safetensors", "config.json"}
    assert (tmp_path / "folder" / "adapter_config.json").is_file()
    assert main(["checkpoints", "export", id, "--out", str(tmp_path / "folder")]) == 7
    assert "already" in capsys.readouterr().err
    assert main(["checkpoints", "import", str(run), "--which", "checkpoint-10", "--name", "Day"]) == 0
    other = next(line for line in capsys.readouterr().out.splitlines() if line.endswith(": Day")).partition(":")[0]
    merge = ["checkpoints", "merge", "--name", "Both", "--combination", "svd", "--rank", "1"]
    assert main([*merge, f"{id}=0.5", other]) == 0
    assert ": Both" in capsys.readouterr().out
    assert main([*merge, f"{id}=much", other]) == 2
    assert "Give ID or ID=0.7" in capsys.readouterr().err


def test_the_hub_without_a_connection_is_said(adapter, capsys):
    assert main(["hub", "search"]) == 9
    assert "cannot be reached" in capsys.readouterr().err
