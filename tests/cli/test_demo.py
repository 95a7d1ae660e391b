"""The promise of the README: the demo learns the style of the bundled clips, and more of it than of another one."""

import json

import numpy as np
import pytest
import soundfile

from heartmula_studio.cli import audible, main

LARGEST_ACCEPTED_CHANGE = -0.03


@pytest.mark.long
def test_demo_learns_the_style_and_shows_it(tmp_path, capsys, monkeypatch, short_windows):
    monkeypatch.setattr(audible, "SONG_SEC", 3.0)  # of the songs that only the last sentence is about
    monkeypatch.setenv("HEARTMULA_MAX_TRACK_VERSIONS", "2")
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--seconds", "6", "--steps", "14"]) == 0
    changes = {row["songs"]: row["change"] for row in json.loads((out / "results.json").read_text())}
    assert changes["held-out song"] < LARGEST_ACCEPTED_CHANGE
    assert changes["held-out song"] < changes["another style"]
    printed = capsys.readouterr().out
    assert "held-out song" in printed
    assert "of 8 short songs" in printed
    before, after = (soundfile.read(out / name)[0] for name in ("before.wav", "after.wav"))
    assert np.sqrt((before**2).mean()) > 0.003
    assert np.sqrt((after**2).mean()) > 0.003
    assert before.shape != after.shape or not np.array_equal(before, after)
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert (out / "loss.png").stat().st_size > 5000
