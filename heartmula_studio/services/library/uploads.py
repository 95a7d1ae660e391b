"""Songs on their way into datasets: uploads and local files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from heartmula_studio.codec.audio_file import AudioLimits, probe
from heartmula_studio.errors import AudioError, InvalidInputError, NotFoundError
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics
from heartmula_studio.store.datasets import Datasets, TrackAudio
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import AudioFile

TEXT_SUFFIXES = (*LYRICS_SUFFIXES, ".qrc", ".yrc", ".krc", ".ttml", ".ass")  # some only to be refused by name
COPY_BYTES = 1 << 20

T = TypeVar("T")


class UploadService:
    """Any thread may call any method. What cannot be learnt from raises AudioError, by the name its owner knows."""

    def __init__(self, datasets: Datasets, limits: AudioLimits):
        self._datasets, self._limits = datasets, limits

    def add_upload(
        self, id: str, incoming: Incoming, caption: str, tags: Sequence[str], rights: str
    ) -> AudioFile | None:
        """Add a received song, or lyrics for one; None where the lyrics wait for their song."""
        if incoming.original_name.lower().endswith(TEXT_SUFFIXES):
            lyrics = explained(incoming, read_lyrics)
            return self._datasets.add_text(id, incoming.original_name, lyrics)
        return self.add_song(id, incoming, caption, tags, rights)

    def add_song(self, id: str, incoming: Incoming, caption: str, tags: Sequence[str], rights: str) -> AudioFile:
        """Add a received song, whatever its name ends in."""
        return self._datasets.add_audio(id, incoming, self._listen(incoming), caption, tags, rights)

    def add_file(
        self, id: str, path: Path, filename: str | None, caption: str, tags: Sequence[str], rights: str
    ) -> AudioFile | None:
        """Add a copy of a local file. Raises NotFoundError, and as `add_upload`."""
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.", "Give an audio or a text file.")
        with self._datasets.receive(id, filename or path.name) as incoming, path.open("rb") as file:
            while chunk := file.read(COPY_BYTES):
                incoming.write(chunk)
            return self.add_upload(id, incoming, caption, tags, rights)

    def _listen(self, incoming: Incoming) -> TrackAudio:
        """Decode a received song once."""
        info = explained(incoming, lambda path: probe(path, self._limits))
        return TrackAudio(info.duration_sec, info.sample_rate_hz, info.channels, f".{info.format.lower()}")


def explained(incoming: Incoming, read: Callable[[Path], T]) -> T:
    """Read a received file; what is wrong with it is said of the name that its owner knows."""
    try:
        return read(incoming.path)
    except (AudioError, InvalidInputError) as error:
        name = incoming.original_name
        message = error.message.replace(str(incoming.path), name).replace(incoming.path.name, name)
        raise type(error)(message, error.hint) from error
