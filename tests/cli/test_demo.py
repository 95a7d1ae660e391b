"""The promise of the README: the demo learns the style of the bundled clips, and more of it than of another one."""

import json
import subprocess
import sys

import numpy as np
import soundfile

LARGEST_ACCEPTED_CHANGE = -0.03


def test_demo_learns_the_style_and_shows_it(tmp_path):
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "heartmula_studio", "demo", "--out", str(out), "--seconds", "6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    changes = {row["songs"]: row["change"] for row in json.loads((out / "results.json").read_text())}
    assert changes["held-out song"] < LARGEST_ACCEPTED_CHANGE
    assert changes["held-out song"] < changes["another style"]
    assert "held-out song" in done.stdout
    before, after = (soundfile.read(out / name)[0] for name in ("before.wav", "after.wav"))
    assert np.sqrt((before**2).mean()) > 0.003
    assert np.sqrt((after**2).mean()) > 0.003
    assert before.shape != after.shape or not np.array_equal(before, after)
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert (out / "loss.png").stat().st_size > 5000
