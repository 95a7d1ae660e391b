"""Songs for `gradio_client`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from pydantic_core import to_jsonable_python

from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import SONG, SongRequest
from heartmula_studio.services.answers import answer
from heartmula_studio.services.songs.history import Order, SongQuery
from heartmula_studio.services.songs.prefixes import Continuation
from heartmula_studio.store.records import ACTIVE_STYLE, UNDER_WAY, Generation, SongFormat
from heartmula_studio.studio import Studio
from heartmula_studio.ui.checkpoint_endpoints import mix_of
from heartmula_studio.ui.endpoint_calls import call, in_thread
from heartmula_studio.ui.files import served_file, served_stream, uploaded_file
from heartmula_studio.ui.page_context import user_errors

POLL_SEC = 0.5


def _request(*values: Any) -> SongRequest:
    """Return a song's settings, given in the order of their definition."""
    with user_errors(str):
        return SongRequest.of(dict(zip(SONG, values, strict=True)))


class SongEndpoints:
    """One method an endpoint; its signature and docstring are what a client sees."""

    def __init__(self, studio: Studio):
        self._songs = studio.songs

    async def generate(
        self,
        tags: str = "",
        lyrics: str = "",
        duration_sec: float = SongRequest.duration_sec,
        seed: int | None = None,
        temperature: float | None = SongRequest.temperature,
        topk: int = SongRequest.topk,
        cfg_scale: float | None = SongRequest.cfg_scale,
        format: SongFormat = "wav",
        style: str = "active",
        strength: float | None = None,
        styles: dict | None = None,
        loudness_lufs: float | None = SongRequest.loudness_lufs,
        min_duration_sec: float = SongRequest.min_duration_sec,
    ) -> tuple[gr.FileData, dict]:
        """Make a song and wait for it: the audio file and its receipt, with whether it is audible.

        `style` is "active", "base", or the id of a checkpoint, which may have a `strength`. `styles` are several
        instead, for this song only, as in `activate_mix`.
        """
        sampling = temperature, topk, cfg_scale
        request = _request(tags, lyrics, duration_sec, seed, *sampling, loudness_lufs, min_duration_sec)
        wanted = format, style, strength, mix_of(styles or {})
        return await self._made(await in_thread(self._songs.generate, request, *wanted))

    async def generate_takes(
        self,
        takes: int,
        tags: str = "",
        lyrics: str = "",
        duration_sec: float = SongRequest.duration_sec,
        seed: int | None = None,
        temperature: float | None = SongRequest.temperature,
        topk: int = SongRequest.topk,
        cfg_scale: float | None = SongRequest.cfg_scale,
        format: SongFormat = "wav",
        style: str = "active",
        strength: float | None = None,
        styles: dict | None = None,
        loudness_lufs: float | None = SongRequest.loudness_lufs,
        min_duration_sec: float = SongRequest.min_duration_sec,
        until_end: bool = False,
    ) -> list[dict]:
        """Queue 1 to 8 takes of a song, which are made side by side; `watch_song` and `song_file` tell of each.

        With `until_end`, they are made one after the other until one ends by itself, and `list_takes` tells of those
        that there are.
        """
        sampling = temperature, topk, cfg_scale
        request = _request(tags, lyrics, duration_sec, seed, *sampling, loudness_lufs, min_duration_sec)
        wanted = format, style, strength, mix_of(styles or {}), until_end
        return await call(self._songs.generate_takes, request, takes, *wanted)

    async def song_file(self, song_id: str, format: SongFormat | None = None) -> gr.FileData:
        """A finished song's audio file, in another format than it was made in too."""
        return await in_thread(lambda: served_file(self._songs.path(song_id, format)))

    async def star_song(self, song_id: str, starred: bool = True) -> dict:
        """Mark a song, or take the mark away."""
        return await call(self._songs.star, song_id, starred)

    async def list_takes(self, song_id: str) -> list[dict]:
        """The takes that a song is one of, oldest first; only itself where it is none."""
        return await call(self._songs.takes, song_id)

    async def keep_starred_takes(self, song_id: str) -> list[dict]:
        """Delete the takes beside a song that have no star, and return those that stay."""
        return await call(self._songs.keep_starred_takes, song_id)

    async def compare(
        self,
        checkpoint_id: str,
        tags: str = "",
        lyrics: str = "",
        duration_sec: float = SongRequest.duration_sec,
        seed: int | None = None,
        temperature: float | None = SongRequest.temperature,
        topk: int = SongRequest.topk,
        cfg_scale: float | None = SongRequest.cfg_scale,
        format: SongFormat = "wav",
        strength: float | None = None,
        loudness_lufs: float | None = SongRequest.loudness_lufs,
        min_duration_sec: float = SongRequest.min_duration_sec,
    ) -> tuple[gr.FileData, dict, gr.FileData, dict]:
        """Make one song twice with one seed, and wait: file and receipt by the base alone, and in the style."""
        sampling = temperature, topk, cfg_scale
        request = _request(tags, lyrics, duration_sec, seed, *sampling, loudness_lufs, min_duration_sec)
        base, styled = await in_thread(self._songs.compare, checkpoint_id, request, format, strength)
        return *await self._made(base), *await self._made(styled)

    async def replay(
        self, song_id: str = "", receipt: dict | None = None, format: SongFormat = "wav"
    ) -> tuple[gr.FileData, dict]:
        """Make a song again, and wait: the audio file, and whether it is the same bit for bit, with what differs.

        It is the song of `song_id`, or that of a `receipt`, the JSON that was beside one.
        """
        given = await in_thread(Receipt.from_dict if receipt else self._songs.receipt, receipt or song_id)
        song = await self._finished(await in_thread(self._songs.replay, given, format))
        path = await in_thread(self._songs.path, song.id)
        return await in_thread(served_file, path), to_jsonable_python(answer(song))["replay"]

    async def continue_song(
        self,
        song_id: str = "",
        from_sec: float | None = None,
        settings: dict | None = None,
        track: list[str] | None = None,
        to_sec: float | None = None,
    ) -> tuple[gr.FileData, dict]:
        """Make a song that goes on from another one at a second, its end without one, and wait: file and receipt.

        With `to_sec`, only the stretch until there is remade, and the rest stays as it is, bit for bit.
        `settings` may hold any that `generate` takes but `styles`; those left out are as in that song. `track` is
        [dataset_id, filename] of a tokenized recording instead of a song.
        """
        given = dict(settings or {})
        wishes = Continuation(format=given.pop("format", "wav"), style=given.pop("style", ACTIVE_STYLE),
                              strength=given.pop("strength", None), changes=given)  # fmt: skip
        if track:
            asked = await in_thread(self._songs.continue_track, *track[:2], wishes, from_sec, to_sec)
        else:
            asked = await in_thread(self._songs.continue_song, song_id, wishes, from_sec, to_sec)
        return await self._made(asked)

    async def decode_song(
        self,
        song_id: str,
        decode_steps: int = DecodeSettings.decode_steps,
        decode_guidance: float | None = DecodeSettings.decode_guidance,
        decode_seed: int | None = None,
        format: SongFormat = "wav",
        loudness_lufs: float | None = None,
    ) -> tuple[gr.FileData, dict]:
        """Turn a song's codes into sound anew, without the language model, and wait: audio file and receipt.

        `loudness_lufs` is as in `generate`; left out, it is that of the song.
        """
        with user_errors(str):
            settings = DecodeSettings(decode_steps, decode_guidance, decode_seed)
        return await self._made(await in_thread(self._songs.decode, song_id, settings, format, loudness_lufs))

    async def _made(self, song: Generation) -> tuple[gr.FileData, dict]:
        """Wait for a song, and return its file and receipt."""
        song = await self._finished(song)
        path = await in_thread(self._songs.path, song.id)
        return await in_thread(served_file, path), (song.receipt or {}) | {"audible": song.audible}

    async def _finished(self, song: Generation) -> Generation:
        """Wait for a song. Raises gr.Error where it fails."""
        while song.status in UNDER_WAY:
            await asyncio.sleep(POLL_SEC)
            song = await in_thread(self._songs.get, song.id)
        if song.error:
            raise gr.Error(f"{song.error.message} {song.error.hint}".strip(), title=song.error.code)
        return song

    async def watch_song(self, song_id: str) -> AsyncIterator[dict]:
        """Yield the song, with its progress, whenever it has changed, until it ends.

        GET /generate/{id}/stream plays it meanwhile.
        """
        last: Generation | None = None
        while last is None or last.status in UNDER_WAY:
            song = await in_thread(self._songs.get, song_id)
            if song != last:
                yield to_jsonable_python(answer(song))
            last = song
            await asyncio.sleep(POLL_SEC)

    async def list_songs(
        self,
        search: str = SongQuery.search,
        style: str = SongQuery.style,
        starred: bool = SongQuery.starred,
        sort: Order = SongQuery.sort,
        start: int = SongQuery.start,
        limit: int | None = SongQuery.limit,
    ) -> list[dict]:
        """Songs asked for: all, oldest first, unless something else is asked for, as in `GET /generate`."""
        with user_errors(str):
            query = SongQuery(search, style, starred, sort, start, limit)
        return await call(lambda: self._songs.find(query)[0])

    async def rename_song(self, song_id: str, title: str) -> dict:
        """Give a song a title, which its file gets, too."""
        return await call(self._songs.rename, song_id, title)

    async def set_cover(self, song_id: str, image: gr.FileData | None = None) -> dict:
        """Give a finished song a cover, a JPEG or PNG, which its file carries, too; without an image, take it away."""
        with user_errors(str):
            path = uploaded_file(image)[0] if image else None
        return await call(self._songs.set_cover, song_id, path)

    async def song_cover(self, song_id: str) -> gr.FileData:
        """The image that a song has for a cover."""
        return await in_thread(lambda: served_file(self._songs.cover_path(song_id)))

    async def download_songs(self, song_ids: list[str], format: SongFormat | None = None) -> gr.FileData:
        """Finished songs in one zip, each called by its title."""
        return await in_thread(lambda: served_stream(*self._songs.archive(song_ids, format)))

    async def cancel_song(self, song_id: str) -> dict:
        """Stop making a song."""
        return await call(self._songs.cancel, song_id)

    async def delete_song(self, song_id: str) -> None:
        """Delete a song that is not being made."""
        await call(self._songs.delete, song_id)
