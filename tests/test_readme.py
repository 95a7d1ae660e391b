"""The README's snippets run as they stand, only with another port and few steps."""

import os
import re
import subprocess
import sys

import pytest

from tests.recordings import SONGS
from tests.studio_server import ROOT, shortened

ADDRESS = "http://127.0.0.1:7860"


def snippet(language: str, word: str) -> str:
    """The one block of the README in this language that holds the word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    assert ADDRESS in found
    return shortened(found)


@pytest.fixture
def run(tmp_path, server):
    """Runs a command where short songs lie in place of the clips, and returns what it printed."""
    clips = tmp_path / "heartmula_studio" / "assets" / "clips" / "style"
    clips.parent.mkdir(parents=True)
    clips.symlink_to(SONGS[0].parent)

    def run_in_folder(*command: str) -> str:
        environ = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "downloads")}
        return subprocess.run(command, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True).stdout

    return run_in_folder


def test_the_shell_snippet(run, server, tmp_path):
    printed = run("bash", "-euo", "pipefail", "-c", snippet("sh", "curl").replace(ADDRESS, server.url))
    assert "event: step" in printed
    assert '"status": "completed"' in printed
    assert (tmp_path / "song.wav").read_bytes()[:4] == b"RIFF"


@pytest.mark.long
def test_the_python_snippet(run, server):
    printed = run(sys.executable, "-c", snippet("python", "gradio_client").replace(ADDRESS, server.url))
    lines = printed.splitlines()
    assert any(line.startswith("completed 100.00 % loss ") for line in lines)
    assert "'method': 'lora'" in lines[-1]
