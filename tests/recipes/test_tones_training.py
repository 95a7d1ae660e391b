"""The training of the base of tones, a step or two of each part, on the bundled clips."""

import json

import pytest

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.codec.codec import Codec
from heartmula_studio.finetune.job import train
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from recipes.nano.tones import package, prepare_model, train_levels, train_quantiser


@pytest.mark.long
def test_every_part_is_trained_and_together_they_make_songs(run, work, monkeypatch, tmp_path):
    monkeypatch.setattr("recipes.nano.tones.versions.SEMITONES", (0, 2))
    monkeypatch.setattr(train_quantiser, "CROPS", 40)
    monkeypatch.setattr(train_levels, "MEASURED_CROPS", 8)
    monkeypatch.setattr("recipes.nano.training.LOG_EVERY", 1)
    run(train_quantiser)
    run(train_levels, "--steps", "1")
    run(train_levels, "--steps", "2")
    logged = (work / "levels.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in logged] == [0, 1]  # the second run went on where the first had stopped
    run(prepare_model, "--steps", "2", "--batch", "1")
    assert train(work / "model_job").step == 2
    run(package, "--out", str(work / "base_of_tones"))
    assert isinstance(Codec.load(find_base(work / "base_of_tones")).heartcodec, ToneCodec)
    request = SongRequest("techno", duration_sec=5, min_duration_sec=5, seed=1)
    song = Engine.load(work / "base_of_tones").make_song(request, tmp_path / "song.wav")
    assert song.receipt.duration_sec == pytest.approx(5, abs=0.1)
