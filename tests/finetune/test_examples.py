"""Windows that are drawn anew in each epoch, and the base's own songs among them."""

from pathlib import Path

import pytest
import torch

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, read_heartmula_config
from heartmula_studio.dataset.songs import load_songs
from heartmula_studio.errors import CheckpointCorruptError, InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.examples import TrainSet, load_sets, read_tracks
from heartmula_studio.finetune.prior_songs import PRIOR_SONGS, PriorSong, load_prior_songs, save_prior_songs
from tests.finetune.training_jobs import song_row

DRAWS = {"draws_per_epoch": 4, "min_window_sec": 1.0, "max_window_sec": 1.0}


@pytest.fixture(scope="module")
def base(base_dir) -> BaseFolder:
    return find_base(base_dir)


def train_set(job: Path, base: BaseFolder, **settings) -> TrainSet:
    config = TrainConfig(**DRAWS | settings)
    return load_sets(job / "dataset", base, read_heartmula_config(base.model), config, job)[0]


@pytest.fixture
def job(make_job) -> Path:
    return make_job(rows=[song_row(number, 40) | {"ends": number == 0} for number in range(3)])


def test_every_epoch_has_other_windows_and_the_same_again(job, base):
    drawn = train_set(job, base)
    first, second = drawn.epoch(0), drawn.epoch(1)
    assert len(drawn) == len(first) == len(second) == 3 * 4
    assert first.digest() != second.digest()
    assert first.digest() == drawn.epoch(0).digest() == train_set(job, base).epoch(0).digest()
    assert {window.num_frames for window in first.windows} == {12}


def test_examples_hold_the_codes_of_their_windows(job, base):
    tracks = {track.info.name: track.codes for track in read_tracks(load_songs(job / "dataset"), {"song 0", "song 1"})}
    examples = train_set(job, base).epoch(2)
    for example, window in zip(examples, examples.windows, strict=True):
        if window.song in tracks:
            frames = tracks[window.song][:, window.start_frame : window.start_frame + window.num_frames].T
            assert torch.equal(example.targets[: window.num_frames], frames.long())


def test_windows_are_drawn_from_all_versions_of_a_track_and_the_held_out_one_stays_as_it_is(make_job, base):
    faster = {"speed": 1.05, "offset_sec": 0.02}
    rows = [song_row(number, 40) for number in range(6)]
    rows = [row | {"versions": [faster | {"codes": row["codes"][:, 2:]}] * 2} for row in rows]
    job = make_job(rows=rows)
    drawn = train_set(job, base, draws_per_epoch=20, track_versions=2)
    whole = train_set(job, base, track_versions=2, min_window_sec=4.0, max_window_sec=4.0)
    assert {window.num_frames for window in whole.epoch(0).windows} == {40, 38}
    assert drawn.epoch(3).digest() == train_set(job, base, draws_per_epoch=20, track_versions=2).epoch(3).digest()
    assert drawn.digest() != train_set(job, base, draws_per_epoch=20, track_versions=3).digest()
    plain = make_job("plain", rows=[{k: v for k, v in row.items() if k != "versions"} for row in rows])
    assert train_set(plain, base, track_versions=2).digest() == train_set(job, base).digest()
    config = TrainConfig(**DRAWS, track_versions=2)
    _, held_out = load_sets(job / "dataset", base, read_heartmula_config(base.model), config, job)
    assert sum(window.num_frames for window in held_out.windows) == 40


def test_an_end_is_learnt_only_of_the_recording_that_ends(job, base):
    drawn = train_set(job, base, draws_per_epoch=100)
    ended = {window.song for window in drawn.epoch(0).windows if window.ends_song}
    assert ended == {drawn.songs()[0]}


def test_in_datasets_of_earlier_releases_every_track_ends(make_job, base):
    tracks = read_tracks(load_songs(make_job() / "dataset"), {song_row(0, 10)["song"]})
    assert [track.info.ends for track in tracks] == [True]


def test_what_a_window_is_drawn_from_is_part_of_the_runs_identity(job, base):
    assert train_set(job, base).digest() == train_set(job, base).digest()
    assert len({train_set(job, base, **other).digest() for other in ({}, {"seed": 1}, {"draws_per_epoch": 5})}) == 3


def test_a_share_of_the_windows_are_of_the_bases_own_songs(job, base):
    songs = [PriorSong("piano", torch.zeros(base_codebooks(base), 30), ends=False)] * 2
    save_prior_songs(job, songs)
    drawn = train_set(job, base, prior_fraction=0.25)
    windows = drawn.epoch(0).windows
    assert len(windows) == 16
    assert [window.tags for window in windows[12:]] == ["piano"] * 4
    assert drawn.songs() == train_set(job, base).songs()


def base_codebooks(base: BaseFolder) -> int:
    return read_heartmula_config(base.model).audio_num_codebooks


def test_prior_songs_come_back_as_they_were_saved(tmp_path):
    songs = [PriorSong("piano, calm", torch.randint(0, 60, (8, 30)), True), PriorSong("", torch.ones(8, 5), False)]
    save_prior_songs(tmp_path, songs)
    loaded = load_prior_songs(tmp_path)
    assert [(song.tags, song.ends) for song in loaded] == [("piano, calm", True), ("", False)]
    assert all(torch.equal(a.codes, b.codes.short()) for a, b in zip(loaded, songs, strict=True))


def test_missing_and_damaged_prior_songs_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match="prior_fraction"):
        load_prior_songs(tmp_path)
    (tmp_path / PRIOR_SONGS).write_bytes(b"songs")
    with pytest.raises(CheckpointCorruptError, match=PRIOR_SONGS):
        load_prior_songs(tmp_path)
