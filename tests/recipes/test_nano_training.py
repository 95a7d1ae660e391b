"""The whole training of the bundled model, a step or two of each part, on the bundled clips."""

import json
import sys
from pathlib import Path

import pytest
from datasets import load_from_disk

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.codec.codec import Codec
from heartmula_studio.finetune.job import train
from recipes.nano import (
    evaluate,
    own_songs,
    package,
    prepare_model,
    song_figures,
    train_levels,
    train_quantiser,
    tune_levels,
)
from recipes.nano.base_folder import LEVEL_NETWORK, MODEL_FOLDER, TUNED_LEVEL_NETWORK, trained_state


def weights_of(base: Path) -> list[list[float]]:
    return [tensor.flatten().tolist() for tensor in load_heartmula(base / MODEL_FOLDER).state_dict().values()]


def steps_of(log: Path) -> list[int]:
    return [json.loads(line)["step"] for line in log.read_text(encoding="utf-8").splitlines()]


def make_songs_that_are_kept_if_they_end(monkeypatch) -> None:
    """Of a model that has learnt next to nothing: some of its songs end within seconds, and none has a beat."""
    sizes = {
        "ALLOWED_TO_END_SEC": 1.0,
        "SHORTEST_SEC": 1.0,
        "LONGEST_SEC": 8.0,
        "LEAST_BEAT": -1.0,
        "MUCH_FADING_DB": 99,
    }
    for name, value in sizes.items():
        monkeypatch.setattr(own_songs, name, value)


@pytest.mark.long
def test_every_part_is_trained_and_together_they_make_songs(run, work, monkeypatch, capsys):
    monkeypatch.setattr("recipes.nano.versions.SEMITONES", (0, 2))
    monkeypatch.setattr(train_quantiser, "CROPS", 40)
    monkeypatch.setattr(train_levels, "MEASURED_CROPS", 8)
    monkeypatch.setattr(tune_levels, "AVERAGE_DECAY", 0.5)
    monkeypatch.setattr("recipes.nano.training.LOG_EVERY", 1)
    run(train_quantiser)
    run(train_levels, "--steps", "1")
    run(train_levels, "--steps", "2")
    assert steps_of(work / "levels.jsonl") == [0, 1]  # the second run went on where the first had stopped
    run(tune_levels, "--steps", "2")
    assert steps_of(work / "levels_by_ear.jsonl") == [0, 1]
    before, tuned = (trained_state(work / name) for name in (LEVEL_NETWORK, TUNED_LEVEL_NETWORK))
    assert {name for name in before if not before[name].equal(tuned[name])} == set(before)
    run(prepare_model, "--steps", "2", "--batch", "1")
    assert train(work / "model_job").step == 2
    run(package, "--out", str(work / "first"))
    make_songs_that_are_kept_if_they_end(monkeypatch)
    run(own_songs, "--base", str(work / "first"), "--files", "1")
    kept = own_songs.own_songs(work)
    assert 0 < len(kept) < own_songs.SONGS_AT_ONCE
    for left in ("model_job", "base"):
        (work / left).rename(work / f"first_{left}")
    manifest = work / "manifest.jsonl"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("fast", "quicker than before"), encoding="utf-8")
    run(prepare_model, "--steps", "1", "--batch", "1", "--start", str(work / "first"))
    assert (work / "base" / "tokenizer.json").read_bytes() == (work / "first" / "tokenizer.json").read_bytes()
    assert weights_of(work / "base") == weights_of(work / "first")
    learnt = load_from_disk(work / "model_job" / "dataset")["song"]
    assert sum(song.startswith("own_") for song in learnt) == prepare_model.OWN_SONG_TIMES * len(kept)
    assert train(work / "model_job").step == 1
    run(package, "--out", str(work / "nano"))
    assert isinstance(Codec.load(find_base(work / "nano")).heartcodec, ToneCodec)
    capsys.readouterr()
    run(evaluate, "--base", str(work / "nano"))
    codec, model = map(json.loads, capsys.readouterr().out.splitlines())
    assert (codec["pieces"], len(codec["codebook_use"]), len(model["model"])) == (1, 8, 8)
    assert 0 < codec["tokens_log_mel"] < 2
    monkeypatch.setattr(song_figures, "TAGS", ("techno",))
    monkeypatch.setattr(sys, "argv", ["song_figures", "--base", str(work / "nano"), "--longest", "1"])
    song_figures.main()
    songs = json.loads(capsys.readouterr().out)
    assert songs["songs"] == 2
    assert 0 < songs["median_sec"] <= 1
