"""Songs on several cores: the language model goes ahead, and songs become sound at once."""

import threading
from dataclasses import replace
from itertools import count

import pytest
import torch

from heartmula_studio.errors import CancelledError
from heartmula_studio.generate.cores import ReadAhead, each_done
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.takes import SongOutput

REQUEST = SongRequest("electronic, slow", "[Verse]\nla la", duration_sec=3.0, seed=5)


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def make(engine, folder, number_of_songs=3, **how):
    folder.mkdir()
    requests = [replace(REQUEST, seed=seed, duration_sec=3.0 + seed) for seed in range(number_of_songs)]
    outputs = [SongOutput(folder / f"{number}.wav") for number in range(number_of_songs)]
    return engine.make_takes(requests, outputs, **how)


def test_songs_are_the_same_on_one_core_and_on_two(engine, tmp_path, two_cores):
    finished = []
    on_two = make(engine, tmp_path / "two", finished=lambda number, song: finished.append((number, song)))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    on_one = make(engine, tmp_path / "one")
    assert [song.receipt.sound_sha256 for song in on_two] == [song.receipt.sound_sha256 for song in on_one]
    assert sorted(finished) == list(enumerate(on_two))


@pytest.mark.parametrize("last_frame", [3, 40])
def test_cancelled_on_two_cores_no_song_is_left(engine, tmp_path, two_cores, last_frame):
    done = []
    with pytest.raises(CancelledError):
        make(
            engine,
            tmp_path / "songs",
            progress=lambda *step: done.append(step),
            cancelled=lambda: len(done) >= last_frame,
        )
    assert list((tmp_path / "songs").iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_one_that_fails_stops_the_others_and_is_what_is_told(engine, tmp_path, two_cores):
    def nobody():
        raise ConnectionError("nobody listens")

    outputs = [SongOutput(tmp_path / "first.wav"), SongOutput(tmp_path / "second.wav", nobody)]
    with pytest.raises(ConnectionError, match="nobody listens"):
        engine.make_takes([REQUEST, replace(REQUEST, seed=6)], outputs)
    assert list(tmp_path.glob("second*")) == []


def test_an_error_is_told_to_everyone_who_reads():
    def two_then_fail():
        yield from (1, 2)
        raise ValueError("no more")

    ahead = ReadAhead(two_then_fail())
    ahead.start()
    assert (next(ahead), next(ahead)) == (1, 2)
    for _ in range(2):
        with pytest.raises(ValueError, match="no more"):
            next(ahead)
    ahead.stop()


def test_nothing_is_made_ahead_once_it_is_stopped():
    ahead = ReadAhead(count())
    ahead.start()
    assert next(ahead) == 0
    ahead.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_work_that_waits_is_cancelled_by_an_error_in_another():
    def work(number, cancelled):
        if number == 0:
            raise ValueError("first")
        while not cancelled():
            pass
        raise CancelledError("stopped", "")

    with pytest.raises(ValueError, match="first"):
        list(each_done(work, range(4), 2, None))
