"""Songs: asked for, made one after the other, and handed out in the format that is wanted."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import Receipt, codes_path
from heartmula_studio.generate.replay import decode_settings, requests_of
from heartmula_studio.generate.request import SongRequest, new_seed, takes_of
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.files import SongFiles
from heartmula_studio.services.songs.history import SongQuery
from heartmula_studio.services.songs.live import SongStreams
from heartmula_studio.services.songs.making import SongMaker
from heartmula_studio.services.songs.prefixes import Continuation, Prefixes, at_frame, kept_beside
from heartmula_studio.services.songs.queue import GenerationQueue
from heartmula_studio.services.songs.song_engine import SongEngine
from heartmula_studio.services.songs.until_end import in_turn
from heartmula_studio.store.generations import checked_format
from heartmula_studio.store.names import checked_name
from heartmula_studio.store.records import (
    ACTIVE_STYLE,
    BASE_STYLE,
    MIX_STYLE,
    UNDER_WAY,
    Generation,
    Replay,
    StyleChoice,
    utc_now,
)
from heartmula_studio.store.songs import find_song
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.kept_codes import KeptCodes
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.song_styles import SongStyles


class SongService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(
        self,
        store: Store,
        runtime: "Lazy[Runtime]",
        styles: "Lazy[SongStyles]",
        engine: SongEngine,
        idle_engine_sec: float,
        max_songs_per_user: int,
    ):
        """idle_engine_sec: without a song, until the engine leaves the memory. max_songs_per_user: not over."""
        self._store, self._styles = store, styles
        self._streams, self._prefixes, self._files = SongStreams(store), Prefixes(store), SongFiles(store)
        self._queue = GenerationQueue(
            store, engine, SongMaker(store, runtime, engine), idle_engine_sec, max_songs_per_user
        )

    def open(self) -> None:
        """Make songs in the background from now on."""
        self._queue.open()

    def recover(self) -> None:
        """Put the songs of servers that are gone into their true state; those that waited are made here."""
        self._queue.recover()

    def close(self) -> None:
        """Stop the song that is being made; those that wait are made by the next server."""
        self._queue.close()

    def prepare(self) -> None:
        """Load the model in the background: somebody is about to ask for a song."""
        self._queue.prepare()

    def generate(
        self,
        request: SongRequest,
        format: str = "wav",
        style: str = ACTIVE_STYLE,
        strength: float | None = None,
        styles: Sequence[StyleChoice] = (),
    ) -> Generation:
        """Queue a song.

        style: "active" is what is active when its turn comes, "base" the base alone, else a checkpoint's id, which is
        then used for this song only, at `strength` (1 unless given). styles: several for this song only, whose changes
        add up; then without `style` and `strength`.
        Raises InvalidInputError, NotFoundError, and CheckpointError where a style does not fit the base.
        """
        [song] = self.generate_takes(request, 1, format, style, strength, styles)
        return song

    def generate_takes(
        self,
        request: SongRequest,
        count: int,
        format: str = "wav",
        style: str = ACTIVE_STYLE,
        strength: float | None = None,
        styles: Sequence[StyleChoice] = (),
        until_end: bool = False,
    ) -> list[Generation]:
        """Queue 1 to 8 takes of a song, which are made side by side; their seeds count on. Raises as `generate`.

        until_end: they are made one after the other instead, until one can be heard and ends by itself, or there are
        `count`. Then only the first is queued now: `takes` lists those that there are.
        """
        if styles:
            require_alone(style, strength)
            style = MIX_STYLE
        requests = takes_of(request, count)
        self._styles.get().check(style, strength, styles)
        if until_end:
            first = self._new_song(request, format, style, strength, styles)
            return self._queue.submit([in_turn(first, count)])
        songs = [self._new_song(one, format, style, strength, styles) for one in requests]
        if count > 1:
            songs = [replace(song, take_of=songs[0].id) for song in songs]
        return self._queue.submit(songs)

    def try_another_seed(self, id: str) -> Generation:
        """Queue a song as it was asked for, with a new seed. Raises as `generate`."""
        song = self.get(id)
        request = SongRequest.stored(song.request | {"seed": new_seed()})
        style, styles = (ACTIVE_STYLE, song.styles) if song.styles else (song.style, ())
        return self.generate(request, song.format, style, song.style_strength, styles)

    def takes(self, id: str) -> list[Generation]:
        """Return the takes that a song is one of, oldest first; only itself where it is none. Raises NotFoundError."""
        song = self.get(id)
        return [one for one in self.list() if one.take_of == song.take_of] if song.take_of else [song]

    def star(self, id: str, starred: bool = True) -> Generation:
        """Mark a song, or take the mark away. Raises NotFoundError, StorageError."""
        return self._store.generations.update(id, lambda song: replace(song, starred=starred))

    def keep_starred_takes(self, id: str) -> list[Generation]:
        """Delete the takes of a song that have no star, and return the others.

        Raises ConflictError where none has one, or one without is being made.
        """
        takes = self.takes(id)
        others = [take for take in takes if not take.starred]
        if len(others) == len(takes):
            raise ConflictError("No take has a star.", "Star each take that you want to keep.")
        if any(take.status in UNDER_WAY for take in others):
            raise ConflictError("A take without a star is being made.", "Cancel it first, or wait.")
        for take in others:
            self._store.generations.delete(take.id)
        return [take for take in takes if take.starred]

    def compare(
        self, checkpoint_id: str, request: SongRequest, format: str = "wav", strength: float | None = None
    ) -> tuple[Generation, Generation]:
        """Queue one song twice: made by the base alone, and in a style; both or none. Raises as `generate`."""
        self._store.checkpoints.folder(checkpoint_id)
        self._styles.get().check(checkpoint_id, strength)
        wanted = self._new_song(request, format, BASE_STYLE), self._new_song(request, format, checkpoint_id, strength)
        base, styled = self._queue.submit(wanted)
        return base, styled

    def replay(self, receipt: Receipt, format: str = "wav") -> Generation:
        """Queue a song that is made as a receipt says; its record then tells whether it is the same, bit for bit.

        Raises CannotReplayError where its base, codec or styles are not here, and as `generate`.
        """
        styles = self._styles.get().styles_of(receipt)
        style = MIX_STYLE if styles else BASE_STYLE
        self._styles.get().check(style, None, styles)
        song = self._new_song(receipt.request, format, style, None, styles)
        decoding = asdict(decode_settings(receipt))
        requests_of(receipt)  # what it tells of takes is refused at once
        kept = self._prefixes.of_receipt(receipt)
        again = replace(song, decoding=decoding, replay=Replay(asdict(receipt)))
        [queued] = self._queue.submit([again], kept_beside(again, kept))
        return queued

    def continue_song(
        self, id: str, wishes: Continuation, from_sec: float | None = None, to_sec: float | None = None
    ) -> Generation:
        """Queue a song that goes on from another one at a second, its end without one; until there it is the same.

        to_sec: only the stretch until there is remade, with a new seed unless `wishes` name one, and from there on
        the song is the same again, and as long. What is made does not know what comes after it.
        Raises ConflictError for a song without codes, InvalidInputError for a second that it does not have, and as
        `generate`.
        """
        song, kept = self.get(id), self._prefixes.of_song(id, from_sec, to_sec)
        return self._go_on(kept, to_sec, id, SongRequest.stored(song.request), wishes)

    def continue_track(
        self,
        dataset_id: str,
        filename: str,
        wishes: Continuation,
        from_sec: float | None = None,
        to_sec: float | None = None,
    ) -> Generation:
        """Queue a song that goes on from a recording, of which it keeps what the codec hears.

        Raises ConflictError for one that is not tokenized, NotFoundError, and as `continue_song`.
        """
        track = find_song(self._store.datasets.get(dataset_id), filename)
        kept = self._prefixes.of_track(dataset_id, filename, from_sec, to_sec)
        request = SongRequest(tags=", ".join(track.tags), lyrics=track.caption)
        return self._go_on(kept, to_sec, track.filename, request, wishes)

    def receipt(self, id: str) -> Receipt:
        """Return how a song was made. Raises ConflictError before it is finished, InvalidInputError, NotFoundError."""
        self._store.generations.require_completed(id)
        return Receipt.from_dict(self._store.generations.get(id).receipt)

    def decode(
        self, id: str, settings: DecodeSettings, format: str = "wav", loudness_lufs: float | None = None
    ) -> Generation:
        """Queue a song's sound anew from its codes, as a song of its own; the language model is not needed.

        loudness_lufs: as `SongRequest` has it; None leaves it to the song's own request.
        Raises ConflictError for a song without codes: one that is not finished, or of an earlier release, and
        InvalidInputError.
        """
        receipt, source = self.receipt(id), self._store.generations.get(id)
        if not codes_path(self._store.generations.song_path(id)).is_file():
            raise ConflictError("This song has no codes: it was made by an earlier release.", "Make it again first.")
        request = receipt.request if loudness_lufs is None else replace(receipt.request, loudness_lufs=loudness_lufs)
        song = self._new_song(request, format, source.style, source.style_strength, source.styles)
        [queued] = self._queue.submit([replace(song, decoding=asdict(settings), decoded_from=id)])
        return queued

    def get(self, id: str) -> Generation:
        return self._store.generations.get(id)

    def stream(self, id: str) -> AsyncIterator[bytes]:
        """Return a song's sound as WAV, from its beginning: as it is made, or at once where it is done.

        Sample by sample, it is what the finished file holds.
        Raises ConflictError for a song that was cancelled or failed, NotFoundError.
        """
        return self._streams.follow(id)

    def find(self, query: SongQuery) -> tuple[list[Generation], int]:
        """Return the songs that are looked for, and how many there are of them beyond the query's limit."""
        return query.select(self.list())

    def rename(self, id: str, title: str) -> Generation:
        """Call a song something; its file says so, too.

        Raises InvalidInputError for a title that is empty or too long, ConflictError while the song is being made,
        AudioError where its file is damaged, NotFoundError and StorageError.
        """
        title = checked_name(title, "song")
        with self._store.generations.locked(id):
            song = self.get(id)
            if song.status in UNDER_WAY:
                raise ConflictError("The song is being made.", "Name it when it is finished.")
            if song.status == "completed":
                self._files.retitle(song, title)
            return self._store.generations.update(id, lambda song: replace(song, title=title))

    def set_cover(self, id: str, image: Path | None) -> Generation:
        """Give a finished song a cover, an image file, or take it away; its file carries it, too.

        Raises as `Cover.read`, ConflictError for a song that is not finished, AudioError where its file is damaged,
        NotFoundError and StorageError.
        """
        from heartmula_studio.codec.cover import Cover

        self._store.generations.require_completed(id)
        cover = None if image is None else Cover.read(image)
        with self._store.generations.locked(id):
            before = self.get(id)
            name = self._files.keep_cover(before, cover)
            song = self._store.generations.update(id, lambda song: replace(song, cover=name))
            if before.cover not in ("", name):
                self._files.cover_path(before).unlink(missing_ok=True)
        return song

    def cover_path(self, id: str) -> Path:
        """Return the image file of a song's cover. Raises NotFoundError."""
        return self._files.cover_path(self.get(id))

    def path(self, id: str, format: str | None = None) -> Path:
        """Return the finished song's file, in any format. Raises as `SongFiles.path`."""
        return self._files.path(id, format)

    def filename(self, id: str, format: str | None = None) -> str:
        """Return what a song's file is called where people see it. Raises InvalidInputError, NotFoundError."""
        return self._files.filename(id, format)

    def archive(self, ids: Sequence[str], format: str | None = None) -> tuple[str, Iterator[bytes]]:
        """Return a file name, and a zip of finished songs, piece by piece. Raises as `SongFiles.archive`."""
        return self._files.archive(ids, format)

    def cancel(self, id: str) -> Generation:
        """Stop a song within moments. Raises NotFoundError, ConflictError for one that has ended, StorageError."""
        return self._queue.cancel(id)

    def delete(self, id: str) -> None:
        """Raises ConflictError while it is being made."""
        if self._store.generations.get(id).status in UNDER_WAY:
            raise ConflictError("The song is being made.", "Cancel it first.")
        self._store.generations.delete(id)

    def _go_on(
        self, kept: "KeptCodes", to_sec: float | None, name: str, request: SongRequest, wishes: Continuation
    ) -> Generation:
        from_sec, end_sec = kept.prefix_sec, None if to_sec is None else at_frame(to_sec)
        request = wishes.changed(request, from_sec, None if end_sec is None else at_frame(end_sec + kept.suffix_sec))
        self._styles.get().check(wishes.style, wishes.strength)
        song = self._new_song(request, wishes.format, wishes.style, wishes.strength)
        song = replace(song, continues=name, from_sec=from_sec, to_sec=end_sec)
        [queued] = self._queue.submit([song], kept_beside(song, kept))
        return queued

    def _new_song(
        self,
        request: SongRequest,
        format: str,
        style: str,
        strength: float | None = None,
        styles: Sequence[StyleChoice] = (),
    ) -> Generation:
        """Raises InvalidInputError for a format that is none."""
        return Generation(
            self._store.generations.new_id(),
            asdict(request),
            checked_format(format),
            utc_now(),
            style=style,
            style_strength=strength,
            styles=tuple(styles),
        )

    def records(self) -> tuple[Generation, ...]:
        """All songs asked for, oldest first; the same tuple for as long as nothing changes. Raises StorageError."""
        return self._store.generations.records()

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Generation]:
        """All songs asked for, oldest first."""
        return self._store.generations.list()


def require_alone(style: str, strength: float | None) -> None:
    """Raise InvalidInputError where one style is asked for beside several."""
    if style != ACTIVE_STYLE or strength is not None:
        raise InvalidInputError(
            "`styles` cannot be combined with `style` or `strength`.", "Give each style with its strength in `styles`."
        )
