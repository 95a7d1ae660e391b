"""How the songs of a queue are made: by the engine in their style, or by the codec from codes that are there."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from heartmula_studio.arch.frames import frames_of
from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.live import live_sound
from heartmula_studio.services.songs.prefixes import Prefixes
from heartmula_studio.store.records import BASE_STYLE, Generation, utc_now
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.codec.codec import Codec
    from heartmula_studio.generate.engine import Engine
    from heartmula_studio.generate.request import SongRequest
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.generate.song_writer import GeneratedSong
    from heartmula_studio.generate.takes import SongOutput

REPORT_SEC = 0.5
Cancelled = Callable[[], bool]
Finished = Callable[[Generation, "GeneratedSong"], None]
COMPOSING_PERCENT = 95.0  # most codes are sound by then


class SongMaker:
    """Makes one song at a time.

    engine_in: yields the engine in the style of a song; codec_alone: the codec, with or without an engine. Both may
    raise StudioError. let_go: frees the memory of the engine, which the next song loads again.
    """

    def __init__(
        self,
        store: Store,
        runtime: "Lazy[Runtime]",
        engine_in: "Callable[[Generation], AbstractContextManager[Engine]]",
        codec_alone: "Callable[[], AbstractContextManager[Codec]]",
        let_go: Callable[[], None],
    ):
        self._store, self._runtime = store, runtime
        self._engine_in, self._codec_alone, self._prefixes = engine_in, codec_alone, Prefixes(store)
        self._let_go = let_go
        self.loaded_base = ""

    def load(self) -> None:
        """Load the engine with what its first song needs. Raises StudioError."""
        with self._engine_in(Generation("", {}, "wav", utc_now(), style=BASE_STYLE)):
            self.loaded_base = self._runtime.get().base_name

    def make(
        self, songs: Sequence[Generation], stopper: Callable[[Sequence[str]], Cancelled], finished: Finished
    ) -> None:
        """Write the files of a song, or of several takes side by side, and their progress into their records.

        `finished` is told of each that is done, and not of those that were cancelled by themselves. Raises StudioError.
        """
        report = Reporter(self._store, songs)
        must_stop = stopper([song.id for song in songs])
        if songs[0].decoded_from:
            finished(songs[0], self._decode(songs[0], songs[0].decoded_from, report, must_stop))
        else:
            self._compose(songs, report, must_stop, stopper, finished)

    def let_go(self) -> None:
        """Free the memory of what songs are made with."""
        self.loaded_base = ""
        self._let_go()

    def _compose(
        self,
        songs: Sequence[Generation],
        report: "Reporter",
        must_stop: Cancelled,
        stopper: Callable[[Sequence[str]], Cancelled],
        finished: Finished,
    ) -> None:
        from heartmula_studio.generate.decode_settings import DecodeSettings

        with self._engine_in(songs[0]) as engine:
            self.loaded_base = self._runtime.get().base_name
            requests, first = requests_for(songs)
            outputs: list[SongOutput | None] = [None] * len(requests)
            for number, song in enumerate(songs, start=first):
                outputs[number] = self._output(song, engine.codec.sample_rate_hz, stopper([song.id]))
            engine.make_takes(
                requests,
                outputs,
                report.composing,
                must_stop,
                report.sounding,
                DecodeSettings(**songs[0].decoding),
                lambda number, made: finished(songs[number - first], made),
                self._prefixes.load(songs[0].id),
            )

    def _output(self, song: Generation, sample_rate_hz: int, cancelled: Cancelled) -> "SongOutput":
        from heartmula_studio.generate.takes import SongOutput

        live = partial(live_sound, self._store.generations.folder(song.id), sample_rate_hz)
        return SongOutput(self._store.generations.song_path(song.id), live, cancelled, song.tried)

    def _decode(self, song: Generation, source_id: str, report: "Reporter", must_stop: Cancelled) -> "GeneratedSong":
        from heartmula_studio.generate.decode_settings import DecodeSettings
        from heartmula_studio.generate.receipt import Receipt, codes_path
        from heartmula_studio.generate.request import SongRequest
        from heartmula_studio.generate.song_codes import SongCodes
        from heartmula_studio.generate.sounding import redecode

        try:
            source = self._store.generations.get(source_id)
            codes = SongCodes.load(codes_path(self._store.generations.song_path(source_id)))
        except NotFoundError as error:
            raise ConflictError("The song that it is decoded from was deleted.", "Make it again.") from error
        folder = self._store.generations.folder(song.id)
        with self._codec_alone() as codec, live_sound(folder, codec.sample_rate_hz) as listener:
            return redecode(
                codec,
                codes,
                replace(Receipt.from_dict(source.receipt), request=SongRequest.stored(song.request)),
                DecodeSettings(**song.decoding),
                self._store.generations.song_path(song.id),
                report.decoding,
                must_stop,
                listener,
            )


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
