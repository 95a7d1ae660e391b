"""How the songs of a queue are made: what an engine is asked for, and what becomes of its answers."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from heartmula_studio.arch.frames import frames_of
from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.live import live_sound
from heartmula_studio.services.songs.prefixes import Prefixes
from heartmula_studio.services.songs.song_engine import Composition, Redecoding, SongEngine
from heartmula_studio.store.records import Generation
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.request import SongRequest
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.generate.song_writer import GeneratedSong
    from heartmula_studio.generate.takes import SongOutput

REPORT_SEC = 0.5
Cancelled = Callable[[], bool]
Finished = Callable[[Generation, "GeneratedSong"], None]
COMPOSING_PERCENT = 95.0  # most codes are sound by then


class SongMaker:
    """Has an engine make the songs of a queue, and keeps their files, their sound so far and their progress."""

    def __init__(self, store: Store, runtime: "Lazy[Runtime]", engine: SongEngine):
        self._store, self._runtime, self._engine = store, runtime, engine
        self._prefixes = Prefixes(store)

    def make(
        self, songs: Sequence[Generation], stopper: Callable[[Sequence[str]], Cancelled], finished: Finished
    ) -> None:
        """Write the files of a song, or of several that are made side by side, and their progress into their records.

        `finished` is told of each that is done, and not of those that were cancelled by themselves. Raises StudioError.
        """
        report = Reporter(self._store, songs)
        if songs[0].decoded_from:
            self._decode(songs[0], songs[0].decoded_from, report, stopper, finished)
        else:
            self._compose(songs, report, stopper, finished)

    def _compose(
        self,
        songs: Sequence[Generation],
        report: "Reporter",
        stopper: Callable[[Sequence[str]], Cancelled],
        finished: Finished,
    ) -> None:
        from heartmula_studio.generate.decode_settings import DecodeSettings

        requests, first = requests_for(songs)
        outputs: list[SongOutput | None] = [None] * len(requests)
        for number, song in enumerate(songs, start=first):
            outputs[number] = self._output(song, stopper)
        work = Composition(
            requests,
            outputs,
            DecodeSettings(**songs[0].decoding),
            self._prefixes.load(songs[0].id),
            report.composing,
            report.sounding,
            stopper([song.id for song in songs]),
            lambda number, made: finished(songs[number - first], made),
            report.say,
        )
        self._engine.compose(songs[0], work)

    def _output(self, song: Generation, stopper: Callable[[Sequence[str]], Cancelled]) -> "SongOutput":
        from heartmula_studio.arch.checkpoints import read_codec_config
        from heartmula_studio.generate.takes import SongOutput

        rate_hz = read_codec_config(self._runtime.get().base.codec).sample_rate
        live = partial(live_sound, self._store.generations.folder(song.id), rate_hz)
        return SongOutput(self._store.generations.song_path(song.id), live, stopper([song.id]), song.tried)

    def _decode(
        self,
        song: Generation,
        source_id: str,
        report: "Reporter",
        stopper: Callable[[Sequence[str]], Cancelled],
        finished: Finished,
    ) -> None:
        from heartmula_studio.generate.decode_settings import DecodeSettings
        from heartmula_studio.generate.receipt import Receipt, codes_path
        from heartmula_studio.generate.request import SongRequest
        from heartmula_studio.generate.song_codes import SongCodes

        try:
            source = self._store.generations.get(source_id)
            codes = SongCodes.load(codes_path(self._store.generations.song_path(source_id)))
        except NotFoundError as error:
            raise ConflictError("The song that it is decoded from was deleted.", "Make it again.") from error
        work = Redecoding(
            codes,
            replace(Receipt.from_dict(source.receipt), request=SongRequest.stored(song.request)),
            DecodeSettings(**song.decoding),
            self._output(song, stopper),
            report.decoding,
            stopper([song.id]),
            lambda _, made: finished(song, made),
            report.say,
        )
        self._engine.decode(work)


def requests_for(songs: Sequence[Generation]) -> "tuple[list[SongRequest], int]":
    """Return what has to be made for these songs, and which of it is the first of them.

    One that is made again is made beside the same takes as then.
    """
    from heartmula_studio.generate.receipt import Receipt
    from heartmula_studio.generate.replay import requests_of
    from heartmula_studio.generate.request import SongRequest

    if replay := songs[0].replay:
        return requests_of(Receipt.from_dict(replay.of))
    return [SongRequest.stored(song.request) for song in songs], 0


class Reporter:
    """Writes the progress of songs into their records, twice a second at most."""

    def __init__(self, store: Store, songs: Sequence[Generation]):
        self._store = store
        self._limits = {song.id: frames_of(song.request["duration_sec"]) for song in songs}
        self._percents = dict.fromkeys(self._limits, 0.0)
        self._last = self._composed = 0.0

    def composing(self, done: int, total: int) -> None:
        """Of the longest of the songs; the others are no further than at their own ends."""
        self._composed = done / total
        if self._is_time():
            for id, limit in self._limits.items():
                own = min(done, limit)
                self._tell(id, COMPOSING_PERCENT * own / limit, f"Composing frame {own} of at most {limit}.")

    def sounding(self, done: int, total: int) -> None:
        """Of what is composed so far."""
        percent = self._composed * (COMPOSING_PERCENT + (100 - COMPOSING_PERCENT) * done / total)
        self._tell_all(percent, f"Turning tokens into sound: {done} of {total}.")

    def say(self, message: str) -> None:
        """Put a message beside the progress so far."""
        for id, percent in self._percents.items():
            self._tell(id, percent, message)

    def decoding(self, done: int, total: int) -> None:
        self._tell_all(100 * done / total, f"Turning tokens into sound: {done} of {total}.")

    def _tell_all(self, percent: float, message: str) -> None:
        if self._is_time():
            for id in self._limits:
                self._tell(id, percent, message)

    def _is_time(self) -> bool:
        if time.monotonic() - self._last < REPORT_SEC:
            return False
        self._last = time.monotonic()
        return True

    def _tell(self, id: str, percent: float, message: str) -> None:
        self._percents[id] = percent = max(percent, self._percents[id])
        with suppress(NotFoundError):  # of several, one may be deleted once it is over
            self._store.generations.update(id, partial(progressed, round(percent, 2), message))


def progressed(percent: float, message: str, song: Generation) -> Generation:
    return replace(song, progress=percent, message=message) if song.status == "running" else song
