"""Songs on their way into datasets: uploads and local files."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES, AudioLimits, probe
from heartmula_studio.codec.embedded_lyrics import embedded_lyrics
from heartmula_studio.dataset.sidecars import TEXT_KINDS, SidecarName, sidecar_names
from heartmula_studio.dataset.track_columns import (
    LYRICS_COLUMNS,
    RIGHTS_COLUMNS,
    is_list_of_tags,
    rights_of,
    tags_of,
)
from heartmula_studio.errors import AudioError, InvalidInputError, NotFoundError
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics
from heartmula_studio.store.datasets import Datasets, TrackAudio
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.names import safe_stem
from heartmula_studio.store.records import AudioFile
from heartmula_studio.store.songs import find_by_stem

TEXT_SUFFIXES = (*LYRICS_SUFFIXES, ".qrc", ".yrc", ".krc", ".ass")  # some only to be refused by name
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
        suffix = PurePosixPath(incoming.original_name).suffix.lower()
        if suffix in TEXT_SUFFIXES or suffix[1:] in TEXT_KINDS:
            return self._add_text(id, incoming)
        return self.add_song(id, incoming, caption, tags, rights)

    def _add_text(self, id: str, incoming: Incoming) -> AudioFile | None:
        """Give lyrics or tags to the song that the name of a text speaks of."""
        text = explained(incoming, read_lyrics)
        song, kind = self._song_of(id, incoming.original_name)
        is_lyrics = kind in LYRICS_COLUMNS or kind == "" and not (song and is_list_of_tags(text))
        if is_lyrics:
            return self._datasets.add_text(id, song.filename if song else self._waiting_name(incoming), text)
        if song is None:
            raise NotFoundError(f"There is no song for {incoming.original_name}.", "Add the song first, then its tags.")
        if kind in RIGHTS_COLUMNS:
            return self._datasets.update_audio(id, song.filename, rights=rights_of(text.strip())[0])
        return song if song.tags else self._datasets.update_audio(id, song.filename, tags=tags_of(text))

    def _song_of(self, id: str, filename: str) -> tuple[AudioFile | None, str]:
        """The song that a text belongs to, if it is there, and what its name says it holds."""
        dataset, names = self._datasets.get(id), _names(filename)
        for name in names:
            if song := find_by_stem(dataset, safe_stem(f"{name.owner}.txt")):
                return song, name.kind
        return None, next((name.kind for name in names if name.kind), "")

    def _waiting_name(self, incoming: Incoming) -> str:
        names = _names(incoming.original_name)
        return f"{next((name.owner for name in names if name.kind), names[0].owner)}.txt"

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
        lyrics = embedded_lyrics(incoming.path)
        return TrackAudio(info.duration_sec, info.sample_rate_hz, info.channels, f".{info.format.lower()}", lyrics)


def _names(filename: str) -> list[SidecarName]:
    """What the name of a text may mean: `song.mp3.txt` belongs to `song`, too."""
    names = list(sidecar_names(filename)) or [SidecarName(PurePosixPath(filename).stem)]
    plain = [(PurePosixPath(name.owner), name.kind) for name in names]
    return names + [SidecarName(owner.stem, kind) for owner, kind in plain if owner.suffix.lower() in AUDIO_SUFFIXES]


def explained(incoming: Incoming, read: Callable[[Path], T]) -> T:
    """Read a received file; what is wrong with it is said of the name that its owner knows."""
    try:
        return read(incoming.path)
    except (AudioError, InvalidInputError) as error:
        name = incoming.original_name
        message = error.message.replace(str(incoming.path), name).replace(incoming.path.name, name)
        raise type(error)(message, error.hint) from error
