"""Songs in line. A made-up engine stands in where only the order and the record matter."""

import dataclasses
import threading
import time
from contextlib import contextmanager, nullcontext

import pytest
import soundfile

from heartmula_studio.errors import CheckpointMissingError, ConflictError, StorageError
from heartmula_studio.generate.engine import Engine
from heartmula_studio.services import devices as devices_module
from heartmula_studio.services.songs.until_end import in_turn
from heartmula_studio.store.records import BASE_STYLE
from heartmula_studio.ui.song_view import song_badges, song_status
from tests.services.songs.made_up_engine import OTHER, REQUEST, song_of, wait_for
from tests.services.studio_folder import submit
from tests.still_studio import wait_until


def test_a_song_that_cannot_be_heard_says_so(store, engine, serve):
    engine.go.set()
    queue = serve()
    songs = [queue.submit([song_of(dataclasses.replace(REQUEST, tags=tags))])[0] for tags in ("silence", "techno")]
    silent, heard = (wait_for(store, song, "completed") for song in songs)
    assert (silent.audible, heard.audible, heard.message) == (False, True, "")
    assert silent.message.startswith("This song cannot be heard")
    assert "Nothing can be heard" in song_status(silent)
    assert "inaudible" in "".join(song_badges(silent))
    assert "inaudible" not in "".join(song_badges(heard))


def test_an_idle_engine_leaves_the_memory_until_the_next_song(store, engine, serve):
    engine.go.set()
    queue = serve(idle_sec=0.01)
    for _ in range(2):
        engine.let_go.clear()
        wait_for(store, queue.submit([song_of(REQUEST)])[0], "completed")
        assert engine.let_go.wait(20)
    assert len(engine.asked) == 2


def test_owners_take_turns_and_each_song_knows_its_place(store, engine, serve):
    queue = serve()
    first = queue.submit([song_of(REQUEST)])[0]
    wait_for(store, first, "running")
    owners = ("ann", "ann", "ann", "bob", "cem")
    requests = [dataclasses.replace(REQUEST, seed=seed, topk=10 + seed) for seed in range(len(owners))]
    songs = [
        dataclasses.replace(song_of(request), owner=owner) for request, owner in zip(requests, owners, strict=True)
    ]
    queue.submit(songs)
    told = [store.generations.get(song.id) for song in songs]
    assert [song.queue_position for song in told] == [1, 4, 5, 2, 3]
    assert "Number 4 in line." in song_status(told[1])
    engine.go.set()
    done = [wait_for(store, song, "completed") for song in songs]
    assert engine.asked == [[4], [0], [3], [4], [1], [2]]
    assert {song.queue_position for song in done} == {None}


def test_a_record_that_cannot_be_read_holds_no_other_song_up(store, engine, serve):
    queue = serve()
    requests = [dataclasses.replace(REQUEST, seed=seed, topk=10 + seed) for seed in range(3)]
    first, damaged, last = (queue.submit([song_of(request)])[0] for request in requests)
    wait_for(store, first, "running")
    (store.generations.folder(damaged.id) / "manifest.json").write_bytes(b"{")
    engine.go.set()
    wait_for(store, last, "completed")


def test_a_disk_that_refuses_places_in_line_holds_no_song_up(store, engine, serve, monkeypatch):
    def refuse(*_):
        raise StorageError("The disk is full.", "Make room.")

    queue = serve()
    monkeypatch.setattr(queue, "_end", refuse)
    songs = [queue.submit([song_of(dataclasses.replace(REQUEST, topk=10 + seed))])[0] for seed in range(2)]
    monkeypatch.undo()
    engine.go.set()
    assert all(wait_for(store, song, "completed") for song in songs)


def test_songs_are_made_in_order(store, engine, serve):
    queue = serve()
    requests = [dataclasses.replace(REQUEST, seed=seed, topk=10 + seed) for seed in (3, 1, 2)]  # none beside another
    songs = [queue.submit([song_of(request, "flac")])[0] for request in requests]
    assert engine.begun.wait(20)
    running = wait_for(store, songs[0], "running")
    assert store.generations.get(songs[2].id).status == "queued"
    engine.go.set()
    for song in songs:
        done = wait_for(store, song, "completed", "failed")
        assert (done.status, done.progress, done.duration_sec) == ("completed", 100.0, 1.5)
        assert store.generations.song_path(song.id).name == "song.flac"
    assert engine.asked == [[3], [1], [2]]
    assert running.started_at


@pytest.mark.parametrize(
    ("tags", "most", "seeds", "said"),
    [
        ("techno", 8, [2, 3, 4], "It ended by itself."),
        ("techno", 2, [2, 3], "It was the last take: allow more takes, or a greater length."),
        ("techno", 1, [2], "It was the last take: allow more takes, or a greater length."),
        ("silence", 4, [2, 3, 4, 5], "It was the last take: allow more takes, or a greater length."),
    ],
)
def test_takes_are_made_until_one_is_heard_and_ends(store, engine, serve, tags, most, seeds, said):
    engine.go.set()
    queue = serve()
    first = in_turn(song_of(dataclasses.replace(REQUEST, seed=2, tags=tags), "flac"), most)
    queue.submit([first])
    other = queue.submit([song_of(dataclasses.replace(REQUEST, seed=50))])[0]
    wait_until(lambda: sum(len(asked) for asked in engine.asked) == len(seeds) + 1)
    songs = [wait_for(store, song, "completed") for song in store.generations.list() if song.id != other.id]
    assert [song.request["seed"] for song in songs] == seeds
    assert [song.tried for song in songs] == [tuple(seeds[: number + 1]) for number in range(len(seeds))]
    assert {(song.take_of, song.format) for song in songs} == {(first.id, "flac")}
    assert songs[-1].message.endswith(said)
    assert all(song.message.endswith("Another take follows.") for song in songs[:-1])


def test_the_model_is_loaded_before_the_first_song_is_asked_for(store, engine, serve):
    loaded = threading.Event()

    @contextmanager
    def engine_in(song):
        assert song.style == BASE_STYLE
        loaded.set()
        yield engine

    queue = serve(engine_in)
    queue.prepare()
    assert loaded.wait(20)
    assert store.generations.list() == []


def test_a_model_that_cannot_be_loaded_early_does_not_end_the_queue(store, engine, serve):
    engines = iter([CheckpointMissingError("There is no base.", "Bring it."), engine])

    @contextmanager
    def engine_in(song):
        found = next(engines)
        if isinstance(found, Exception):
            raise found
        yield found

    engine.go.set()
    queue = serve(engine_in)
    queue.prepare()
    wait_until(lambda: not queue._expected.is_set())
    wait_for(store, queue.submit([song_of(REQUEST)])[0], "completed")


def test_no_take_follows_one_that_was_cancelled(store, engine, serve):
    queue = serve()
    take = queue.submit([in_turn(song_of(dataclasses.replace(REQUEST, seed=2)), 8)])[0]
    assert engine.begun.wait(20)
    queue.cancel(take.id)
    wait_for(store, take, "cancelled")
    engine.go.set()
    wait_for(store, queue.submit([song_of(REQUEST)])[0], "completed")
    assert len(store.generations.list()) == 2


@pytest.mark.parametrize(("tags", "code"), [("too much", "out_of_memory"), ("fault", "studio")])
def test_a_failure_is_told_and_the_next_song_is_made(store, engine, serve, tags, code):
    queue = serve()
    engine.go.set()
    bad, good = queue.submit([song_of(dataclasses.replace(REQUEST, tags=tags))])[0], queue.submit([song_of(REQUEST)])[0]
    assert wait_for(store, bad, "failed").error.code == code
    wait_for(store, good, "completed")


def test_cancelling_what_runs_and_what_waits(store, engine, serve):
    queue = serve()
    running, waiting = queue.submit([song_of(REQUEST)])[0], queue.submit([song_of(OTHER)])[0]
    assert engine.begun.wait(20)
    assert queue.cancel(waiting.id).status == "cancelled"
    queue.cancel(running.id)
    wait_for(store, running, "cancelled")
    with pytest.raises(ConflictError, match="cancelled"):
        queue.cancel(running.id)
    engine.go.set()
    wait_for(store, queue.submit([song_of(REQUEST)])[0], "completed")
    assert len(engine.asked) == 2


def test_requests_that_come_at_once_are_made_side_by_side_and_fail_alone(store, engine, serve):
    queue = serve()
    first = queue.submit([song_of(OTHER)])[0]
    assert engine.begun.wait(20)
    asked = [dataclasses.replace(REQUEST, seed=1), dataclasses.replace(REQUEST, seed=2, tags="fault")]
    good, bad, cancelled = (queue.submit([song_of(request)])[0] for request in (*asked, REQUEST))
    queue.cancel(cancelled.id)
    engine.go.set()
    wait_for(store, first, "completed")
    assert wait_for(store, bad, "failed").error.code == "studio"
    assert wait_for(store, good, "completed").duration_sec == 1.5
    assert engine.asked == [[4], [1, 2], [2]]


def test_takes_are_made_side_by_side_and_one_of_them_can_be_cancelled(store, engine, serve):
    queue = serve()
    songs = [song_of(dataclasses.replace(REQUEST, seed=seed)) for seed in (5, 6, 7)]
    takes = queue.submit([dataclasses.replace(song, take_of=songs[0].id) for song in songs])
    alone = queue.submit([song_of(REQUEST)])[0]
    assert engine.begun.wait(20)
    queue.cancel(takes[1].id)
    engine.go.set()
    ended = [wait_for(store, take, "completed", "cancelled", "failed") for take in takes]
    assert [take.status for take in ended] == ["completed", "cancelled", "completed"]
    wait_for(store, alone, "completed")
    assert engine.asked == [[5, 6, 7], [REQUEST.seed]]


def test_another_server_can_cancel(store, engine, serve):
    mine, other = serve(), serve()
    song = mine.submit([song_of(REQUEST)])[0]
    assert engine.begun.wait(20)
    other.cancel(song.id)
    wait_for(store, song, "cancelled")


def test_a_closing_server_fails_its_song_and_leaves_the_others_to_the_next(store, engine, serve):
    first = serve()
    running, waiting = first.submit([song_of(REQUEST)])[0], first.submit([song_of(OTHER)])[0]
    assert engine.begun.wait(20)
    first.close()
    assert "server stopped" in wait_for(store, running, "failed").error.message
    assert store.generations.get(waiting.id).status == "queued"
    engine.go.set()
    serve()
    wait_for(store, waiting, "completed")


def test_a_running_song_of_a_dead_server_has_failed_but_not_one_of_a_living_server(store, engine, serve):
    living = serve()
    song = living.submit([song_of(REQUEST)])[0]
    assert engine.begun.wait(20)
    dead = dataclasses.replace(store.generations.get(song.id), id=store.generations.new_id(), status="running")
    store.generations.create(dead)
    serve()
    assert "server stopped" in wait_for(store, dead, "failed").error.message
    assert store.generations.get(song.id).status == "running"


def test_a_song_waits_for_a_training_that_leaves_no_room(store, dataset, queue, engine, serve, monkeypatch):
    monkeypatch.setattr(devices_module, "free_bytes", lambda device: 10**8)
    job = submit(queue, dataset)
    store.jobs.update(job.id, lambda job: dataclasses.replace(job, status="running"))
    engine.go.set()
    song = serve().submit([song_of(REQUEST)])[0]
    deadline = time.monotonic() + 60
    while "Waits for the training of Arcade" not in store.generations.get(song.id).message:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    store.jobs.update(job.id, lambda job: dataclasses.replace(job, status="completed"))
    wait_for(store, song, "completed")


def test_the_real_engine_leaves_a_song_and_its_receipt(store, serve, short_windows):
    song = serve(lambda song: nullcontext(Engine.load("nano", "cpu"))).submit([song_of(REQUEST)])[0]
    done = wait_for(store, song, "completed", "failed", timeout_sec=200)
    assert done.status == "completed", done.error
    assert soundfile.info(store.generations.song_path(song.id)).duration == pytest.approx(done.duration_sec, abs=0.01)
    assert done.receipt["request"]["seed"] == 4
