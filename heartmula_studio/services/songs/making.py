"""How the songs of a queue are made: by the engine in their style, or by the codec from codes that are there."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.live import live_sound
from heartmula_studio.store.records import Generation
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.codec.codec import Codec
    from heartmula_studio.generate.engine import Engine
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.generate.song_writer import GeneratedSong

REPORT_SEC = 0.5
COMPOSING_PERCENT = 95.0  # most codes are sound by then


class SongMaker:
    """Makes one song at a time.

    engine_in: yields the engine in the style of a song; codec_alone: the codec, with or without an engine. Both may
    raise StudioError.
    """

    def __init__(
        self,
        store: Store,
        runtime: "Lazy[Runtime]",
        engine_in: "Callable[[Generation], AbstractContextManager[Engine]]",
        codec_alone: "Callable[[], AbstractContextManager[Codec]]",
    ):
        self._store, self._runtime = store, runtime
        self._engine_in, self._codec_alone = engine_in, codec_alone
        self.loaded_base = ""

    def make(self, song: Generation, must_stop: Callable[[], bool]) -> "GeneratedSong":
        """Write the files of a song, and its progress into its record. Raises StudioError."""
        report = Reporter(self._store, song.id)
        if song.decoded_from:
            return self._decode(song, song.decoded_from, report, must_stop)
        return self._compose(song, report, must_stop)

    def _compose(self, song: Generation, report: "Reporter", must_stop: Callable[[], bool]) -> "GeneratedSong":
        from heartmula_studio.generate.decode_settings import DecodeSettings
        from heartmula_studio.generate.request import SongRequest

        folder = self._store.generations.folder(song.id)
        with self._engine_in(song) as engine, live_sound(folder, engine.codec.sample_rate_hz) as listener:
            self.loaded_base = self._runtime.get().base_name
            return engine.make_song(
                SongRequest(**song.request),
                self._store.generations.song_path(song.id),
                report.composing,
                must_stop,
                report.sounding,
                DecodeSettings(**song.decoding),
                listener,
            )

    def _decode(
        self, song: Generation, source_id: str, report: "Reporter", must_stop: Callable[[], bool]
    ) -> "GeneratedSong":
        from heartmula_studio.generate.decode_settings import DecodeSettings
        from heartmula_studio.generate.receipt import Receipt, codes_path
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
                Receipt.from_dict(source.receipt),
                DecodeSettings(**song.decoding),
                self._store.generations.song_path(song.id),
                report.decoding,
                must_stop,
                listener,
            )


class Reporter:
    """Writes a song's progress into its record, twice a second at most."""

    def __init__(self, store: Store, id: str):
        self._store, self._id = store, id
        self._last = self._composed = self._percent = 0.0

    def composing(self, done: int, total: int) -> None:
        self._composed = done / total
        self._report(COMPOSING_PERCENT * self._composed, f"Composes frame {done} of at most {total}.")

    def sounding(self, done: int, total: int) -> None:
        """Of what is composed so far."""
        percent = self._composed * (COMPOSING_PERCENT + (100 - COMPOSING_PERCENT) * done / total)
        self._report(percent, f"Turns tokens into sound: {done} of {total}.")

    def decoding(self, done: int, total: int) -> None:
        self._report(100 * done / total, f"Turns tokens into sound: {done} of {total}.")

    def _report(self, percent: float, message: str) -> None:
        if time.monotonic() - self._last < REPORT_SEC:
            return
        self._last = time.monotonic()
        self._percent = percent = max(percent, self._percent)
        self._store.generations.update(
            self._id, lambda song: replace(song, progress=round(percent, 2), message=message)
        )
