"""A folder of songs as training data: find the files, pair lyrics, tokenise what is not yet tokenised."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.codec.codec import Codec, file_sha256
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.lyrics import read_lyrics
from heartmula_studio.dataset.songs import from_token_files
from heartmula_studio.errors import InvalidInputError, NotFoundError

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus")
LYRICS_SUFFIXES = (".lrc", ".txt")


@dataclass(frozen=True)
class SongFile:
    """One song on disk and its lyrics; empty for an instrumental."""

    path: Path
    lyrics: str

    @property
    def name(self) -> str:
        return self.path.stem


def find_songs(folder: Path, minimum: int = 1) -> list[SongFile]:
    """The songs of a folder in order of name, each with the lyrics file of the same name.

    Raises NotFoundError without the folder, InvalidInputError for too few songs or two of one name.
    """
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder}.", "Give a folder of MP3, WAV, FLAC or OGG files.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    if len(paths) < minimum:
        raise InvalidInputError(
            f"{folder} holds {len(paths)} of the {minimum} songs that are needed.",
            f"Add files that end in {', '.join(AUDIO_SUFFIXES)}.",
        )
    stems = [path.stem for path in paths]
    if repeated := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise InvalidInputError(
            f"Several songs in {folder} are called {repeated[0]}.", "Give every song a name of its own."
        )
    return [SongFile(path, paired_lyrics(path)) for path in paths]


def paired_lyrics(song: Path) -> str:
    """The text of the lyrics file beside a song, or nothing."""
    candidates = [song.with_suffix(suffix) for suffix in LYRICS_SUFFIXES]
    found = next((path for path in candidates if path.is_file()), None)
    return read_lyrics(found) if found else ""


def tokenise(songs: Sequence[SongFile], codec: Codec, folder: Path) -> list[Path]:
    """Write the tokens of each song to `folder`, skipping those already there for the same file and codec."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, song in enumerate(songs, start=1):
        path = folder / f"{song.name}.pt"
        if not is_current(path, song.path, codec.codec_id):
            with progress_bar(f"Listening {number}/{len(songs)} {song.name}", "window") as report:
                codec.encode_file(song.path, report).save(path)
        paths.append(path)
    return paths


def is_current(tokens: Path, song: Path, codec_id: str) -> bool:
    if not tokens.is_file():
        return False
    stored = Tokens.load(tokens)
    return stored.codec_id == codec_id and stored.source_sha256 == file_sha256(song)


def build_dataset(songs: Sequence[SongFile], tags: str, base: BaseFolder, device: str, tokens: Path) -> Dataset:
    """Tokenise `songs` into the folder `tokens` and put them together with lyrics and tags."""
    codec = Codec.load(base, device)
    paths = tokenise(songs, codec, tokens)
    return from_token_files(paths, [song.lyrics for song in songs], tags, codec.codec_id)
