"""A folder of songs as training data: find the files, pair lyrics, tokenize what is not yet tokenized."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES, AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.tokenizing import (
    TokenizingTask,
    add_versions,
    current_tokens,
    save_dataset,
    tokenize,
    without_versions,
)
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.hashing import file_sha256
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics


@dataclass(frozen=True)
class SongFile:
    """One song on disk and its lyrics; empty for an instrumental."""

    path: Path
    lyrics: str = ""

    @property
    def name(self) -> str:
        """The file's name without its suffix, as valid text."""
        return readable(self.path.stem)


def readable(name: str) -> str:
    """A file name in one Unicode form, with a mark where its bytes are no UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def find_songs(folder: Path, minimum: int = 1) -> list[SongFile]:
    """The songs of a folder in order of name, each with the lyrics file of the same name.

    Raises NotFoundError without the folder, InvalidInputError for too few songs or two of one name.
    """
    if not folder.is_dir():
        raise NotFoundError(
            f"There is no folder {folder}.", "Give a folder of MP3, WAV, FLAC, OGG, AIFF, CAF or M4A files."
        )
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    lyrics = {(readable(path.stem), path.suffix.lower()): path for path in files}
    songs = [SongFile(path, paired_lyrics(path, lyrics)) for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    if len(songs) < minimum:
        raise InvalidInputError(
            f"{folder} holds {len(songs)} of the {minimum} songs that are needed.",
            f"Add files that end in {', '.join(AUDIO_SUFFIXES)}.",
        )
    names = [song.name for song in songs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            f"Several songs in {folder} are called {repeated[0]}.", "Give every song a name of its own."
        )
    return songs


def paired_lyrics(song: Path, files: dict[tuple[str, str], Path]) -> str:
    """The text of the lyrics file with the song's name, or nothing."""
    found = [path for suffix in LYRICS_SUFFIXES if (path := files.get((readable(song.stem), suffix)))]
    return read_lyrics(found[0]) if found else ""


def other_files(folder: Path) -> list[str]:
    """Names of the files in a folder that are neither songs nor lyrics."""
    known = (*AUDIO_SUFFIXES, *LYRICS_SUFFIXES)
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and p.suffix.lower() not in known)


def write_dataset(
    songs: Sequence[SongFile],
    tags: str,
    codec: Codec,
    limits: AudioLimits,
    tokens: Path,
    folder: Path,
    num_versions: int = 1,
    ends: bool | None = None,
) -> list[TokenizingTask]:
    """Tokenize `songs` into the folder `tokens`, unless they are there already, and write them as the dataset `folder`.

    `tags` are those of every song, and `ends` says whether they come to an end; None leaves it to their sound. Songs
    that are learnt from are tokenized in `num_versions` versions. Return the songs with their tokens.
    """
    sources = [
        TokenizingTask(song.path, tokens / f"{song.name}.pt", file_sha256(song.path), song.lyrics, tags, ends)
        for song in songs
    ]
    for number, source in enumerate(sources, start=1):
        if current_tokens(source, codec.codec_id) is None:
            with progress_bar(f"Listening {number}/{len(sources)} {source.name}", "window") as report:
                tokenize(source, codec, limits, report)
    found = {source.name: Tokens.load(source.tokens) for source in sources}
    lacking = without_versions(found, num_versions)
    for source in sources:
        if source.name in lacking:
            with progress_bar(f"Listening at other speeds to {source.name}", "version") as report:
                add_versions(source, found[source.name], num_versions, codec, report)
    save_dataset(sources, codec.codec_id, folder)
    return sources
