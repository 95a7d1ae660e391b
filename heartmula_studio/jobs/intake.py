"""Songs on their way into datasets: uploads, local files, whole datasets, and the clips that come along."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from heartmula_studio.codec.audio_file import AudioLimits, probe
from heartmula_studio.dataset import exchange
from heartmula_studio.dataset.clips import bundled_clips
from heartmula_studio.dataset.lyrics import read_lyrics
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.errors import AudioError, InvalidInputError, NotFoundError
from heartmula_studio.store.datasets import AudioInfo
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.store import Store

TEXT_SUFFIXES = (".txt", ".lrc")
COPY_BYTES = 1 << 20
EXAMPLES = "Example clips"

T = TypeVar("T")


class Intake:
    """Any thread may call any method. What cannot be learnt from raises AudioError, by the name its owner knows."""

    def __init__(self, store: Store, limits: AudioLimits):
        self._store, self._limits = store, limits

    def add_upload(
        self, id: str, incoming: Incoming, caption: str, tags: Sequence[str], rights: str
    ) -> AudioFile | None:
        """Add a received song, or lyrics for one; None where the lyrics wait for their song."""
        if incoming.original_name.lower().endswith(TEXT_SUFFIXES):
            lyrics = explained(incoming, read_lyrics)
            return self._store.datasets.add_text(id, incoming.original_name, lyrics)
        return self._store.datasets.add_audio(id, incoming, self._listen(incoming), caption, tags, rights)

    def add_file(
        self, id: str, path: Path, filename: str | None, caption: str, tags: Sequence[str], rights: str
    ) -> AudioFile | None:
        """Add a copy of a local file. Raises NotFoundError, and as `add_upload`."""
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.", "Give an audio or a text file.")
        with self._store.datasets.receive(id, filename or path.name) as incoming, path.open("rb") as file:
            while chunk := file.read(COPY_BYTES):
                incoming.write(chunk)
            return self.add_upload(id, incoming, caption, tags, rights)

    def import_dataset(self, source: str | Path, name: str, styles: Sequence[str]) -> Dataset:
        """Make a dataset of what `exchange.incoming_songs` finds. Raises as it does, and as `add_upload`."""
        with self._whole_dataset(name, styles) as dataset:
            for song in exchange.incoming_songs(source):
                with self._store.datasets.receive(dataset.id, song.filename) as incoming:
                    incoming.write(song.content)
                    self.add_upload(dataset.id, incoming, song.lyrics, song.tags, "unknown")
        return self._store.datasets.get(dataset.id)

    def create_example_dataset(self) -> Dataset:
        """Make a dataset of the clips that come along. Raises StorageError."""
        clips = bundled_clips("style")
        with self._whole_dataset(EXAMPLES, split_tags(clips.tags)) as dataset:
            for path in clips.paths:
                self.add_file(dataset.id, path, None, clips.lyrics, (), clips.rights)
        return self._store.datasets.get(dataset.id)

    @contextmanager
    def _whole_dataset(self, name: str, styles: Sequence[str]) -> Iterator[Dataset]:
        """A new dataset that vanishes where not all of its songs come in."""
        dataset = self._store.datasets.create_dataset(name, styles)
        try:
            yield dataset
        except BaseException:
            self._store.datasets.delete(dataset.id)
            raise

    def _listen(self, incoming: Incoming) -> AudioInfo:
        """Decode a received song once."""
        info = explained(incoming, lambda path: probe(path, self._limits))
        return AudioInfo(info.duration_sec, info.sample_rate_hz, info.channels, f".{info.format.lower()}")


def explained(incoming: Incoming, read: Callable[[Path], T]) -> T:
    """Read a received file; what is wrong with it is said of the name that its owner knows."""
    try:
        return read(incoming.path)
    except (AudioError, InvalidInputError) as error:
        name = incoming.original_name
        message = error.message.replace(str(incoming.path), name).replace(incoming.path.name, name)
        raise type(error)(message, error.hint) from error
