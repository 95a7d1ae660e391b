"""Songs in line for an engine that makes several batches at once."""

import dataclasses
import threading
from contextlib import nullcontext

from tests.services.songs.made_up_engine import REQUEST, no_codec, song_of, wait_for
from tests.still_studio import wait_until


class TwoPlaces:
    """A `SongEngine` of two places, at which a made-up engine makes songs."""

    num_batches, is_loaded = 2, True

    def __init__(self, engine):
        self._engine, self._free = engine, threading.Semaphore(2)
        self.decode = self.load = no_codec
        self.wanted = nullcontext

    def enter(self, lease, since):
        if not self._free.acquire(blocking=False):
            return "Waits for a free place."
        lease.callback(self._free.release)
        return None

    def compose(self, song, work):
        self._engine.make_takes(
            work.requests,
            work.outputs,
            work.progress,
            work.cancelled,
            work.decode_progress,
            work.decoding,
            work.finished,
            work.kept,
        )

    def let_go(self):
        self._engine.let_go.set()

    def close(self):
        self.is_loaded = False


def test_an_engine_of_two_places_makes_two_batches_at_once(store, engine, serve_by):
    queue = serve_by(TwoPlaces(engine))
    requests = [dataclasses.replace(REQUEST, seed=seed, topk=10 + seed) for seed in range(4)]
    songs = [queue.submit([song_of(request)])[0] for request in requests]
    for song in songs[:2]:
        wait_for(store, song, "running")
    wait_until(lambda: [store.generations.get(song.id).queue_position for song in songs] == [None, None, 1, 2])
    queue.cancel(songs[0].id)
    wait_for(store, songs[2], "running")
    engine.go.set()
    ended = [wait_for(store, song, "completed", "cancelled") for song in songs]
    assert [song.status for song in ended] == ["cancelled", "completed", "completed", "completed"]
    assert sorted(engine.asked[:2]) == [[0], [1]]
    assert engine.asked[2:] == [[2], [3]]


def test_an_engine_of_two_places_keeps_its_models_while_one_is_at_work(store, engine, serve_by):
    queue = serve_by(TwoPlaces(engine), idle_sec=0.01)
    song = queue.submit([song_of(REQUEST)])[0]
    wait_for(store, song, "running")
    engine.let_go.clear()
    assert not engine.let_go.wait(0.2)
    engine.go.set()
    wait_for(store, song, "completed")
    assert engine.let_go.wait(20)


def test_a_closing_server_leaves_what_two_threads_were_about_to_make(store, engine, serve_by):
    queue = serve_by(TwoPlaces(engine))
    songs = [queue.submit([song_of(dataclasses.replace(REQUEST, topk=10 + seed))])[0] for seed in range(3)]
    wait_for(store, songs[1], "running")
    queue.close()
    assert [store.generations.get(song.id).status for song in songs] == ["failed", "failed", "queued"]
