"""Streams that follow a song while it is made, or give out one that is done."""

import asyncio
from dataclasses import replace

import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.pcm import HEADER_BYTES, pcm_16
from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.services.songs.live import LIVE, SongStreams, live_sound
from heartmula_studio.store.records import Generation, utc_now

RATE_HZ = 24_000
STRETCHES = torch.rand(2, 90_000).sub(0.5).split(40_000, dim=1)


@pytest.fixture
def song(store) -> Generation:
    song = Generation(store.generations.new_id(), {}, "wav", utc_now(), status="running")
    return store.generations.create(song)


def set_status(store, song: Generation, status: str) -> None:
    store.generations.update(song.id, lambda song: replace(song, status=status))


async def make(store, song: Generation, status: str) -> None:
    """Make it stretch by stretch, with time for those who follow in between."""
    folder = store.generations.folder(song.id)
    with live_sound(folder, RATE_HZ) as listener, AudioWriter(folder / "song.wav", RATE_HZ) as writer:
        for stretch in STRETCHES:
            listener(stretch)
            writer.write(stretch)
            await asyncio.sleep(0.12)
    set_status(store, song, status)


async def taken(stream) -> list[bytes]:
    return [chunk async for chunk in stream]


async def followed(store, song: Generation, status: str) -> list[bytes]:
    _, chunks = await asyncio.gather(make(store, song, status), taken(SongStreams(store).follow(song.id)))
    return chunks


def test_what_is_streamed_meanwhile_is_what_the_finished_file_holds(store, song):
    chunks = asyncio.run(followed(store, song, "completed"))
    assert len(chunks) > len(STRETCHES), "it comes before it is whole"
    samples, _ = soundfile.read(store.generations.song_path(song.id), dtype="int16")
    assert b"".join(chunks)[HEADER_BYTES:] == samples.astype("<i2").tobytes()
    assert not (store.generations.folder(song.id) / LIVE).exists()
    later = b"".join(asyncio.run(taken(SongStreams(store).follow(song.id))))
    assert later[HEADER_BYTES:] == b"".join(chunks)[HEADER_BYTES:]


def test_a_song_that_fails_ends_its_stream(store, song):
    chunks = asyncio.run(followed(store, song, "failed"))
    assert b"".join(chunks)[HEADER_BYTES:] == b"".join(map(pcm_16, STRETCHES))
    with pytest.raises(ConflictError, match="failed"):
        SongStreams(store).follow(song.id)
    with pytest.raises(NotFoundError):
        SongStreams(store).follow("none")
