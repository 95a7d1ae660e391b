"""A training that streams a catalogue: what it reads, that it repeats itself, and how much memory it takes."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from heartmula_studio.dataset.catalogue_folder import is_catalogue
from heartmula_studio.dataset.catalogue_tracks import CatalogueTracks
from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError
from heartmula_studio.finetune.job import train
from tests.finetune.catalogues import made_up_row, write_catalogue, write_large_catalogue
from tests.finetune.test_resume import SETTINGS, wait_for_step
from tests.finetune.training_jobs import REPOSITORY, loss_curve, read_metrics
from tests.recordings import SONGS

NUM_TRACKS = 70  # in two shards
STEPS = 6
RUN = """
import resource, sys
from heartmula_studio.finetune.__main__ import main
code = main([sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def rows() -> list:
    return [made_up_row(number, 10 + number) for number in range(NUM_TRACKS)]


@pytest.fixture(scope="module")
def codes(tmp_path_factory, base_dir, rows) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("catalogue") / "codes", base_dir, rows)


@pytest.fixture
def make_run(tmp_path, base_dir, codes):
    """make_run(name, **settings) → a job folder that reads the catalogue."""

    def make(name: str, dataset: Path = codes, **settings) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        given = {"base_model": str(base_dir), "dataset": str(dataset), "ladder_rungs": 0, "max_steps": STEPS}
        (folder / "config.json").write_text(json.dumps({**SETTINGS, "batch_size": 4, **given, **settings}))
        return folder

    return make


def tracks_of(folder: Path) -> CatalogueTracks:
    codec_id = pq.read_schema(folder / "codes-00000.parquet").metadata[b"codec_id"].decode()
    return CatalogueTracks(folder, codec_id)


@pytest.mark.parametrize("group", [1, 64])
def test_each_track_is_read_by_itself(tmp_path, base_dir, rows, group):
    """Files of an earlier release have one row group."""
    tracks = tracks_of(write_catalogue(tmp_path / "codes", base_dir, rows, group=group))
    assert len(tracks) == NUM_TRACKS
    for number in (69, 0, 63, 64):
        info, row = tracks.info(number), rows[number]
        assert (info.name, info.tags, info.lyrics, info.num_frames, info.ends) == (
            row.path, row.tags, row.lyrics, row.frames, True,
        )  # fmt: skip
        assert torch.equal(tracks.codes(number).T.flatten(), torch.tensor(row.codes, dtype=torch.int16))


def test_files_of_an_earlier_release_have_neither_tags_nor_lyrics(tmp_path, codes):
    old = tmp_path / "old"
    shutil.copytree(codes, old)
    for path in old.glob("codes-*"):
        pq.write_table(pq.read_table(path).drop_columns(["tags", "lyrics", "rights"]), path)
    assert (tracks_of(old).info(3).tags, tracks_of(old).info(3).lyrics) == ("", "")


def test_one_track_in_ten_is_held_out_whatever_the_order(codes):
    split = tracks_of(codes).split()
    assert len(split.held_out) == NUM_TRACKS // 10
    assert sorted([*split.train, *split.held_out]) == list(range(NUM_TRACKS))


def test_other_versions_of_what_is_held_out_are_not_learnt(tmp_path, base_dir, rows, codes):
    (first, *_) = tracks_of(codes).split().held_out
    live = replace(rows[first], path=rows[first].path.replace(".mp3", " (live).mp3"))
    tracks = tracks_of(write_catalogue(tmp_path / "codes", base_dir, [*rows, live]))
    split = tracks.split()
    assert (first in split.held_out) == (NUM_TRACKS not in split.train) is True


def test_stopped_and_resumed_the_curve_is_the_same(make_run):
    whole, broken = make_run("whole"), make_run("broken")
    assert train(whole).status == "completed"
    train(broken, on_step=lambda event: (broken / "stop").touch() if event.step == 2 else None)
    assert train(broken).step == STEPS
    assert loss_curve(broken) == loss_curve(whole)
    (start,) = read_metrics(whole, "start")
    assert (start["songs"], start["windows"], len(start["held_out_songs"])) == (["63 recordings of codes"], 63, 7)


def test_epochs_draw_other_windows(make_run):
    """With the whole of short tracks in each window, draws differ by the order alone."""
    job = make_run("job", max_steps=None, epochs=2, batch_size=16)
    result = train(job)
    assert result.total_steps == 2 * 4
    first, second = ([line["loss"] for line in read_metrics(job, "step")][part] for part in (slice(4), slice(4, 8)))
    assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.long
def test_from_recordings_to_a_style_though_it_is_killed(tmp_path):
    """The commands: a catalogue, a training, a kill, and the same training undisturbed."""
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(8):
        shutil.copy(SONGS[number % len(SONGS)], audio / f"{number}{SONGS[number % len(SONGS)].suffix}")
        (audio / f"{number}.txt").write_text(f"[verse]\nwords {number}")
    run("catalogue", audio, tmp_path / "codes", "--base", "nano", "--device", "cpu")
    assert is_catalogue(tmp_path / "codes")
    options = (
        "--base",
        "nano",
        "--device",
        "cpu",
        "--max-steps",
        "8",
        "--ladder-rungs",
        "0",
        "--state-every-steps",
        "2",
    )
    killed, whole = ((tmp_path / name) for name in ("killed", "whole"))
    command = [
        sys.executable,
        "-m",
        "heartmula_studio",
        "train",
        str(tmp_path / "codes"),
        "--out",
        str(killed),
        *options,
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    wait_for_step(killed, 3, process)
    process.kill()
    process.wait()
    run("train", tmp_path / "codes", "--out", killed, *options)
    run("train", tmp_path / "codes", "--out", whole, *options)
    assert loss_curve(killed) == loss_curve(whole)
    assert len(read_metrics(whole, "step")) == 8


def run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "heartmula_studio", *map(str, arguments)], cwd=REPOSITORY, check=True)


@pytest.mark.slow
@pytest.mark.long
def test_memory_does_not_grow_with_the_catalogue(tmp_path, base_dir, make_run):
    """10,000 tracks of 400 frames are 64 MB of codes, which take 16 times that in Python's own numbers."""
    peaks_kib = {}
    for count in (10, 10_000):
        codes = write_large_catalogue(tmp_path / f"codes {count}", base_dir, count, num_frames=400)
        job = make_run(f"job {count}", codes, max_steps=2, max_window_sec=32.0)
        done = subprocess.run([sys.executable, "-c", RUN, str(job)], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks_kib[count] = int(done.stdout.split()[-1])
    assert peaks_kib[10_000] - peaks_kib[10] < 40 * 1024, peaks_kib


def test_codes_of_another_codec_are_refused(tmp_path, base_dir, rows, make_run):
    other = write_catalogue(tmp_path / "codes", base_dir, rows[:8], codec_id="heartcodec-of-another")
    with pytest.raises(CheckpointMismatchError, match="heartcodec-of-another"):
        train(make_run("job", other))


def test_a_shard_that_is_gone_or_damaged_is_named(tmp_path, codes):
    broken = tmp_path / "codes"
    shutil.copytree(codes, broken)
    (broken / "codes-00001.parquet").write_bytes(b"PAR1, or so it says")
    with pytest.raises(InvalidInputError, match="codes-00001.*cannot be read"):
        tracks_of(broken).codes(64)
    (broken / "codes-00001.parquet").unlink()
    with pytest.raises(InvalidInputError, match="codes-00001.*is gone"):
        tracks_of(broken).codes(64)


def test_a_catalogue_without_codes_is_refused(tmp_path, base_dir):
    bad = replace(made_up_row(0, 1), error="It is silent.")
    with pytest.raises(InvalidInputError, match="holds no codes"):
        CatalogueTracks(write_catalogue(tmp_path / "codes", base_dir, [bad]), "")
