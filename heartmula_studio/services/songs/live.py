"""The sound of a song while it is made: a file that grows in its folder, and streams that follow it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio import to_thread

from heartmula_studio.errors import ConflictError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.store.records import UNDER_WAY
from heartmula_studio.store.store import Store

if TYPE_CHECKING:
    from torch import Tensor

LIVE = "live.wav"
POLL_SEC = 0.05
CHUNK_BYTES = 1 << 16
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # a proxy must not hold it back


@contextmanager
def live_sound(folder: Path, sample_rate_hz: int) -> "Iterator[Callable[[Tensor], None]]":
    """Yield what takes finished stretches [2, n] of a song, for streams to follow; the file goes with the block.

    Raises StorageError.
    """
    from heartmula_studio.codec.pcm import pcm_16, wave_header

    path = folder / LIVE

    def append(data: bytes) -> None:
        with disk_explained(path), path.open("ab") as file:
            file.write(data)

    try:
        append(wave_header(sample_rate_hz))
        yield lambda stretch: append(pcm_16(stretch))
    finally:
        forget(folder)


def forget(folder: Path) -> None:
    """Remove the sound of a song that is over; on Windows it stays as long as somebody hears it."""
    with suppress(OSError):
        (folder / LIVE).unlink(missing_ok=True)


class SongStreams:
    """WAV as it comes, sample by sample what the finished file holds."""

    def __init__(self, store: Store):
        self._store = store

    def follow(self, id: str) -> AsyncIterator[bytes]:
        """Return the sound of a song from its beginning, until all of it is there, or the song ends without being done.

        Raises ConflictError for a song that has ended so, NotFoundError.
        """
        status = self._store.generations.get(id).status
        if status not in (*UNDER_WAY, "completed"):
            raise ConflictError(f"The song is {status}.", "Only songs that are finished or being made can be heard.")
        return self._whole(id) if status == "completed" else self._growing(id)

    async def _growing(self, id: str) -> AsyncIterator[bytes]:
        path = self._store.generations.folder(id) / LIVE
        file: BinaryIO | None = None
        try:
            while True:
                status = (await to_thread.run_sync(self._store.generations.get, id)).status
                if file is None:
                    with suppress(FileNotFoundError):
                        file = path.open("rb")
                if file and (chunk := await to_thread.run_sync(file.read, CHUNK_BYTES)):
                    yield chunk
                elif status not in UNDER_WAY:
                    break
                else:
                    await asyncio.sleep(POLL_SEC)
        finally:
            if file:
                file.close()
        if file is None and status == "completed":  # before anything of it was seen
            async for chunk in self._whole(id):
                yield chunk

    async def _whole(self, id: str) -> AsyncIterator[bytes]:
        pieces = wave_pieces(self._store.generations.song_path(id))
        while chunk := await to_thread.run_sync(next, pieces, b""):
            yield chunk


def wave_pieces(path: Path) -> Iterator[bytes]:
    """Yield a finished song as WAV with 16 bits, in pieces. Raises AudioError where it is damaged."""
    import soundfile

    from heartmula_studio.codec.pcm import wave_header

    with soundfile.SoundFile(path) as file:
        yield wave_header(file.samplerate, file.frames)
        for block in file.blocks(CHUNK_BYTES, dtype="int16"):
            yield block.astype("<i2").tobytes()
