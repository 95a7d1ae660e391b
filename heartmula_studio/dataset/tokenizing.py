"""From songs to the dataset that training reads, by way of one token file a song.

Token files stay where they are told to lie, so that a song is listened to once for each codec.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.codec.track_version import track_version
from heartmula_studio.dataset.held_out import split_tracks
from heartmula_studio.dataset.songs import from_token_files
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.atomic import replaced_folder

ENDS: dict[str, bool | None] = {"as_heard": None, "ends": True, "cut_off": False}
"""What a person says of a recording's ending, and whether it comes to an end; None leaves it to its sound."""


@dataclass(frozen=True)
class TokenizingTask:
    """One song and where its tokens belong; the stem of `tokens` is its name. `lyrics` are empty for an instrumental.

    `tags` are separated by commas. `ends` says whether the recording comes to an end; None leaves it to its sound.
    """

    audio: Path
    tokens: Path
    sha256: str  # of the audio file
    lyrics: str = ""
    tags: str = ""
    ends: bool | None = None

    @property
    def name(self) -> str:
        return self.tokens.stem


def current_tokens(song: TokenizingTask, codec_id: str) -> Tokens | None:
    """Read the song's tokens; None where there are none, or they are damaged, of another file or another codec."""
    if not song.tokens.is_file():
        return None
    try:
        stored = Tokens.load(song.tokens)
    except InvalidInputError:
        return None
    return stored if (stored.codec_id, stored.source_sha256) == (codec_id, song.sha256) else None


def tokenize(
    song: TokenizingTask,
    codec: Codec,
    limits: AudioLimits,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Tokens:
    """Write the song's tokens. Raises as `Codec.encode_file`, and OSError where they cannot be written."""
    tokens = codec.encode_file(song.audio, progress, cancelled, limits)
    tokens.save(song.tokens)
    return tokens


def add_versions(
    song: TokenizingTask,
    tokens: Tokens,
    count: int,
    codec: Codec,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Tokens:
    """Encode what is missing of `count` versions of a song, itself included, and write them to its tokens.

    Raises as `tokenize`.
    """
    missing = missing_versions(tokens, count)
    versions = list(tokens.versions)
    for done, number in enumerate(missing, start=1):
        versions.append(codec.encode_version(song.audio, track_version(number), cancelled))
        if progress is not None:
            progress(done, len(missing))
    if missing:
        tokens = replace(tokens, versions=tuple(versions))
        tokens.save(song.tokens)
    return tokens


def missing_versions(tokens: Tokens | None, count: int) -> range:
    """Return the numbers of those of `count` versions that tokens lack; number 0, the song itself, is not counted."""
    return range(1 + (len(tokens.versions) if tokens else 0), count)


def without_versions(songs: Mapping[str, Tokens], count: int) -> list[str]:
    """Return the names of the songs that lack some of `count` versions and are learnt from; held-out ones need none."""
    lacking = [name for name, tokens in songs.items() if missing_versions(tokens, count)]
    if not lacking:  # the split compares songs, which takes long where there are many
        return []
    learnt, _ = split_tracks({name: tokens.codes for name, tokens in songs.items()})
    return [name for name in lacking if name in learnt]


def save_dataset(songs: Sequence[TokenizingTask], codec_id: str, folder: Path) -> None:
    """Put the tokens of `songs` with their lyrics and tags into the dataset `folder`. Raises as `from_token_files`."""
    paths, lyrics, tags = ([getattr(song, field) for song in songs] for field in ("tokens", "lyrics", "tags"))
    dataset = from_token_files(paths, lyrics, tags, codec_id, [song.ends for song in songs])
    with replaced_folder(folder) as temporary:
        dataset.save_to_disk(temporary)
