"""Where songs are asked for, and handed out in the format that is wanted."""

from contextlib import suppress
from pathlib import Path

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import StudioError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.active_engine import ActiveEngine
from heartmula_studio.services.songs.queue import GenerationQueue
from heartmula_studio.store.records import BASE_STYLE, Generation
from heartmula_studio.store.store import Store

BLOCK_SEC = 10


class SongService:
    """Any thread may call any method."""

    def __init__(self, store: Store, queue: GenerationQueue, engine: ActiveEngine):
        self._store, self._queue, self._engine = store, queue, engine

    def order(self, request: SongRequest, format: str, style: str, strength: float | None) -> Generation:
        """Queue a song. Raises as `ActiveEngine.check` and `GenerationQueue.submit`."""
        self._engine.check(style, strength)
        return self._queue.submit(request, format, style, strength)

    def order_pair(
        self, request: SongRequest, format: str, checkpoint_id: str, strength: float | None
    ) -> tuple[Generation, Generation]:
        """Queue the same song by the base alone and in a style; both or none. Raises as `order`."""
        self._store.checkpoints.folder(checkpoint_id)
        self._engine.check(checkpoint_id, strength)
        base = self._queue.submit(request, format, BASE_STYLE)
        try:
            return base, self._queue.submit(request, format, checkpoint_id, strength)
        except BaseException:
            with suppress(StudioError):
                self._queue.cancel(base.id)
            raise

    def convert(self, id: str, format: str) -> Path:
        """Return a finished song in a format, which is made now unless it is there already.

        Raises NotFoundError, AudioError where the song's file is damaged, StorageError.
        """
        songs = self._store.generations
        with songs.locked(id):
            path = songs.song_path(id, format)
            if not path.is_file():
                convert(songs.song_path(id), path)
        return path


def convert(source_path: Path, out_path: Path) -> None:
    """Write the same sound and the same tags in the format of another suffix."""
    source = AudioSource.find(source_path)
    rate_hz = source.find_rate_hz()
    with AudioWriter(out_path, rate_hz, read_tags(source_path)) as writer:
        for block in source.read_blocks(rate_hz, BLOCK_SEC * rate_hz):
            writer.write(block)
