"""Songs that were asked for, made by threads of the server, one for each batch that its engine can make at once.

The server holds a file in the folder of each of its songs, from the request to the end. One that nobody holds belongs
to a server that is gone: it is made here if it still waited, and has failed if it was being made.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heartmula_studio.errors import (
    CancelledError,
    CheckpointError,
    ConflictError,
    NotFoundError,
    StorageError,
    StudioError,
)
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.file_lock import is_locked, try_lock
from heartmula_studio.services.owners import CALLER, refuse_too_many, round_robin
from heartmula_studio.services.songs.batches import batch_of
from heartmula_studio.services.songs.line import placed
from heartmula_studio.services.songs.live import forget
from heartmula_studio.services.songs.making import SongMaker
from heartmula_studio.services.songs.prefixes import Fill
from heartmula_studio.services.songs.song_engine import SongEngine
from heartmula_studio.services.songs.song_records import (
    begun,
    cancelled,
    completed,
    failed,
    failure_of,
    in_line_again,
    with_message,
    with_place,
)
from heartmula_studio.services.songs.until_end import next_take
from heartmula_studio.services.zero_gpu import on_zero_gpu
from heartmula_studio.settings import is_zero_gpu
from heartmula_studio.store.records import UNDER_WAY, Failure, Generation, utc_now
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.song_writer import GeneratedSong

OWNER, CANCEL = ".owner", ".cancel"
POLL_SEC = 0.2
GATHER_SEC = 0.05
MAX_LOOKED_AT = 64  # of a long line: enough to fill a batch from
STOPPED = Failure("cancelled", "The server stopped while it made this song.", "Ask for it again.")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnedSong:
    """A song that this server answers for, and the file it holds to say so."""

    id: str
    owner: BinaryIO


class GenerationQueue:
    """First come, first served. Any thread may call any method."""

    def __init__(
        self,
        store: Store,
        engine: SongEngine,
        maker: SongMaker,
        idle_sec: float,
        max_songs_per_user: int | None = None,
    ):
        """idle_sec: without a song, until the engine lets go of its models. max_songs_per_user: not over."""
        self._store, self._engine, self._maker = store, engine, maker
        self._idle_sec, self._max_songs_per_user = idle_sec, max_songs_per_user
        self._last_turns: dict[str, str] = {}  # of each owner
        self._owned: deque[OwnedSong] = deque()
        self._at_work: dict[str, Sequence[OwnedSong]] = {}  # batches that were taken from the line, by their first song
        self._lock, self._choosing = threading.Lock(), threading.Lock()
        self._make_on_gpu = on_zero_gpu(self._make_here)
        self._work, self._expected = threading.Event(), threading.Event()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="songs", daemon=True) for _ in range(engine.num_batches)
        ]

    def open(self) -> None:
        """Make songs in the background from now on."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the songs that are being made; those that wait are made by the next server."""
        self._closing.set()
        self._work.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        while self._owned:
            self._owned.popleft().owner.close()
        self._engine.close()

    def prepare(self) -> None:
        """Load the model in the background where the device is free, so that the first song is heard sooner."""
        if not self._engine.is_loaded and not is_zero_gpu():
            self._expected.set()
            self._work.set()

    def submit(self, songs: Sequence[Generation], fill: Fill | None = None) -> list[Generation]:
        """Queue songs in styles that were checked, all or none; takes of one are made side by side.

        `fill` puts files into the folder of each. They are the caller's, unless they belong to somebody.
        Raises TooManyRequestsError, StorageError.
        """
        songs = [replace(song, owner=song.owner or CALLER.get()) for song in songs]
        under_way = (song for song in self._store.generations.records() if song.status in UNDER_WAY)
        refuse_too_many("song", under_way, len(songs), self._max_songs_per_user)
        added: list[OwnedSong] = []
        try:
            for song in songs:
                added.append(self._create(song, fill))
        except BaseException:
            for owned in added:
                owned.owner.close()
                with suppress(StudioError):
                    self._store.generations.delete(owned.id)
            raise
        self._add(added)
        placed_songs = self._tell_places()
        return [placed_songs.get(song.id, song) for song in songs]

    def _create(self, song: Generation, fill: Fill | None) -> OwnedSong:
        held: list[BinaryIO | None] = []

        def fill_folder(folder: Path) -> None:
            held.append(try_lock(folder / OWNER))
            if fill:
                fill(folder)

        self._store.generations.create(song, fill_folder)
        owner = held[0]
        assert owner is not None, "nobody else knows of the folder yet"
        return OwnedSong(song.id, owner)

    def cancel(self, id: str) -> Generation:
        """Stop a song within moments. Raises NotFoundError, ConflictError for one that has ended, StorageError."""
        song = self._store.generations.get(id)
        if song.status not in UNDER_WAY:
            raise ConflictError(
                f"The song is {song.status}.", "Only songs that are waiting or being made can be stopped."
            )
        mark = self._store.generations.folder(id) / CANCEL
        with disk_explained(mark):
            mark.touch()
        return self._store.generations.update(id, lambda song: cancelled(song) if song.status == "queued" else song)

    def recover(self) -> None:
        """Put the songs of servers that are gone into their true state; those that waited are made here."""
        for song in self._store.generations.list():
            if song.status not in UNDER_WAY:
                forget(self._store.generations.folder(song.id))
            elif owner := self._inherit(song.id):
                if song.status == "queued":
                    self._add([OwnedSong(song.id, owner)])
                    continue
                forget(self._store.generations.folder(song.id))
                with owner:
                    self._change(song.id, lambda song: failed(song, STOPPED))

    # --- the threads -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            if not self._work.wait(self._idle_sec):
                self._rest()
                self._work.wait()
            self._work.clear()
            if self._closing.is_set():
                self._work.set()  # for the other threads
                break
            while batch := self._next_batch():
                self._take(batch)
                self._tell_places()
            if self._expected.is_set() and not self._closing.is_set():
                self._expected.clear()
                self._load_early()

    def _rest(self) -> None:
        """Give back the memory of the engine, unless it makes songs for another thread."""
        with self._choosing:
            if not self._at_work:
                self._engine.let_go()

    def _load_early(self) -> None:
        try:
            with ExitStack() as lease:
                if not self._engine.is_loaded and self._engine.enter(lease, utc_now()) is None:
                    self._engine.load()
        except Exception:  # the first song will tell of it
            _log.exception("The model cannot be loaded before it is needed")

    def _next_batch(self) -> Sequence[OwnedSong]:
        """Take from the line the songs that are made next, side by side: the first one among them; none where all are.

        Where more wait, the other threads are woken.
        """
        with self._choosing:
            if not self._left():
                return []
            self._closing.wait(GATHER_SEC)  # requests that come at once are one batch
            if self._closing.is_set() or not (batch := self._choose()):
                return []
            with self._lock:
                self._at_work[batch[0].id] = batch
        if self._left():
            self._work.set()
        return batch

    def _choose(self) -> list[OwnedSong]:
        by_id, waiting = self._in_line()
        gone = by_id.keys() - {song.id for song in waiting}
        if gone:  # cancelled, or the record cannot be read
            return [by_id[id] for id in gone]
        if not waiting:
            return []
        batch = batch_of(waiting, len(self._threads) - len(self._at_work))
        self._last_turns |= {song.owner: utc_now() for song in batch}
        return [by_id[song.id] for song in batch]

    def _left(self) -> dict[str, OwnedSong]:
        """Return the first of those that this server has to make and no thread has taken."""
        taken = self._taken()
        with self._lock:
            left = (owned for owned in self._owned if owned.id not in taken)
            return {owned.id: owned for owned in islice(left, MAX_LOOKED_AT)}

    def _taken(self) -> list[str]:
        with self._lock:
            return [owned.id for batch in self._at_work.values() for owned in batch]

    def _in_line(self) -> tuple[dict[str, OwnedSong], list[Generation]]:
        """Return what `_left` does, and the records of those of them that wait, in turn."""
        left = self._left()
        return left, round_robin(self._queued(list(left)), self._last_turns)

    def _tell_places(self) -> dict[str, Generation]:
        """Write into the records of those that wait where they stand in line; return these records."""
        _, left = self._in_line()
        waiting = [*self._queued(self._taken()), *left]  # some were taken and still wait for a place
        songs = {song.id: song for song in placed(waiting, self._store.generations.records(), datetime.now(UTC))}
        try:
            for before in waiting:
                if before != (now := songs[before.id]):
                    self._end([now.id], partial(with_place, now))
        except StorageError:  # they are made all the same
            _log.exception("Songs that wait cannot be told their places")
        return songs

    def _take(self, batch: Sequence[OwnedSong]) -> None:
        """Make songs side by side; they stay in line if the server closes before their turn."""
        try:
            self._make([owned.id for owned in batch])
            for owned in batch:
                self._queue_next_take(owned.id)
        except Exception:  # of these songs, or of the disk: the next one must not wait for ever
            _log.exception("The song %s cannot be made", batch[0].id)
        for owned in batch:
            if not self._closing.is_set() or self._is_over(owned.id):
                with self._lock:
                    self._owned.remove(owned)
                owned.owner.close()
        with self._lock:
            del self._at_work[batch[0].id]

    def _queue_next_take(self, id: str) -> None:
        """Go on with a song's takes where they are made until one ends by itself, and this one is over and did not."""
        with suppress(NotFoundError):
            if take := next_take(self._store.generations.get(id), self._store.generations.new_id()):
                self.submit([take])

    def _make(self, ids: Sequence[str]) -> None:
        if not (waiting := self._queued(ids)):
            return
        try:
            with ExitStack() as lease:
                self._wait_for_place(waiting, lease)
                begun_songs = [self._change(song.id, begun) for song in self._queued(ids)]
                self._tell_places()
                if running := [song for song in begun_songs if song.status == "running"]:
                    self._make_on_gpu(running)
            self._end(ids, self._cut_short)
        except CancelledError:
            self._end(ids, self._cut_short)
        except Exception as error:
            failure = failure_of(error)
            if len(waiting) > 1 and waiting[0].take_of is None:  # it may be the fault of one of them
                if isinstance(error, CheckpointError):  # of their style, perhaps, which the others then go without
                    self._end([waiting[0].id], lambda song: failed(song, failure))
                self._make_one_by_one([song.id for song in waiting])
                return
            self._end(ids, lambda song: failed(song, failure))
            if not isinstance(error, StudioError):
                raise

    def _make_one_by_one(self, ids: Sequence[str]) -> None:
        """Make those songs of a batch that are not over."""
        self._end(ids, in_line_again)
        for id in ids:
            try:
                self._make([id])
            except Exception:  # the others of the batch must not fail with it
                _log.exception("The song %s cannot be made", id)

    def _make_here(self, songs: Sequence[Generation]) -> None:
        self._maker.make(songs, self._stopper, self._finish)

    def _queued(self, ids: Sequence[str]) -> list[Generation]:
        """Return those that were neither cancelled nor deleted, and whose records can be read."""
        songs = []
        for id in ids:
            with suppress(NotFoundError, StorageError):
                songs.append(self._store.generations.get(id))
        return [song for song in songs if song.status == "queued"]

    def _finish(self, song: Generation, made: "GeneratedSong") -> None:
        self._change(song.id, lambda song: completed(song, made))

    def _end(self, ids: Sequence[str], change: Callable[[Generation], Generation]) -> None:
        """Change the records of those songs that are not over."""
        for id in ids:
            with suppress(NotFoundError):
                self._change(id, lambda song: change(song) if song.status in UNDER_WAY else song)

    def _wait_for_place(self, songs: Sequence[Generation], lease: ExitStack) -> None:
        """Take a place at the engine until `lease` ends. Raises CancelledError."""
        ids, since, said = [song.id for song in songs], songs[0].created_at, ""
        must_stop = self._stopper(ids)
        with ExitStack() as waiting:
            while reason := self._engine.enter(lease, since):
                if not said:
                    waiting.enter_context(self._engine.wanted(since))
                if reason != said:
                    said = reason
                    self._end(ids, partial(with_message, reason))
                if must_stop():
                    raise CancelledError("The song was stopped while it waited.")
                time.sleep(POLL_SEC)

    def _stopper(self, ids: Sequence[str]) -> Callable[[], bool]:
        """Tell whether to stop, as all of these songs are cancelled, or the server closes.

        Asked before every layer of the network, so the disk is looked at only now and then.
        """
        marks = [self._store.generations.root / id / CANCEL for id in ids]
        looked, found = 0.0, False

        def must_stop() -> bool:
            nonlocal looked, found
            if time.monotonic() - looked >= POLL_SEC:
                looked, found = time.monotonic(), all(mark.exists() for mark in marks)
            return found or self._closing.is_set()

        return must_stop

    def _cut_short(self, song: Generation) -> Generation:
        """The record of a song that was stopped: by a person, or because the server closes."""
        if (self._store.generations.folder(song.id) / CANCEL).exists():
            return cancelled(song)
        return song if song.status == "queued" else failed(song, STOPPED)

    def _add(self, songs: Sequence[OwnedSong]) -> None:
        with self._lock:
            self._owned.extend(songs)
        self._work.set()

    def _inherit(self, id: str) -> BinaryIO | None:
        owner = self._store.generations.folder(id) / OWNER
        return None if is_locked(owner) else try_lock(owner)

    def _is_over(self, id: str) -> bool:
        try:
            return self._store.generations.get(id).status not in UNDER_WAY
        except StudioError:
            return True

    def _change(self, id: str, change: Callable[[Generation], Generation]) -> Generation:
        return self._store.generations.update(id, change)
