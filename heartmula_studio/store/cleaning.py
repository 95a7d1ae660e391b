"""Cleaned recordings in a dataset's record: one takes the place of its original, or gives it back.

Nothing here touches the disk.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from heartmula_studio.errors import ConflictError
from heartmula_studio.lyrics.moving import moved_lyrics
from heartmula_studio.store.originals import Cleaned, Original
from heartmula_studio.store.records import AudioFile

FIGURES = ("duration_sec", "sample_rate", "channels", "size_bytes", "sha256")


@dataclass(frozen=True)
class CleanedAudio:
    """A recording that was cleaned: what was cut off at both ends, and added to the level."""

    duration_sec: float
    sample_rate: int
    channels: int
    cut_start_sec: float
    cut_end_sec: float
    gain_db: float


def file_of(song: AudioFile) -> str:
    """Return the file of a song in the folder `cleaned`, "" where it is the one that came in."""
    return song.cleaned.stored_as if song.cleaned else ""


def original_of(song: AudioFile) -> Original | None:
    return song.cleaned.original if song.cleaned else None


def files_of(song: AudioFile) -> set[str]:
    """Return the files of a song, its original's too, as `file_of` does."""
    original = original_of(song)
    return {file_of(song), *([original.stored_as] if original else ())}


def with_cleaned(song: AudioFile, audio: CleanedAudio, stored_as: str, size_bytes: int, sha256: str) -> AudioFile:
    """Have a song be what was cleaned of its original; timed lyrics, proposed ones too, move with its beginning."""
    song = with_original(song) if original_of(song) else song

    def moved(lyrics: str) -> str:
        return moved_lyrics(lyrics, -audio.cut_start_sec)

    figures = {name: getattr(song, name) for name in FIGURES}
    original = Original(file_of(song), **figures, lyrics=song.caption, moved_lyrics=moved(song.caption))
    cleaned = Cleaned(stored_as, audio.cut_start_sec, audio.cut_end_sec, audio.gain_db, original)
    new: dict[str, Any] = {"duration_sec": audio.duration_sec, "sample_rate": audio.sample_rate}
    new |= {"channels": audio.channels, "size_bytes": size_bytes, "sha256": sha256}
    return replace(_with_lyrics(song, moved), **new, frames=None, error=None, cleaned=cleaned)


def with_original(song: AudioFile) -> AudioFile:
    """Give a song its original back, and its lyrics; those that were edited since move back in time.

    Raises ConflictError where there is none.
    """
    original = require_original(song)
    cut_sec = song.cleaned.cut_start_sec if song.cleaned else 0.0

    def moved(lyrics: str) -> str:
        return original.lyrics if lyrics == original.moved_lyrics else moved_lyrics(lyrics, cut_sec)

    figures = {name: getattr(original, name) for name in FIGURES}
    cleaned = Cleaned(original.stored_as) if original.stored_as else None
    return replace(_with_lyrics(song, moved), **figures, frames=None, error=None, cleaned=cleaned)


def without_original(song: AudioFile) -> AudioFile:
    """Have a cleaned song stay as it is. Raises ConflictError where there is nothing to let go of."""
    require_original(song)
    assert song.cleaned
    return replace(song, cleaned=replace(song.cleaned, original=None))


def require_original(song: AudioFile) -> Original:
    """Raises ConflictError."""
    if original := original_of(song):
        return original
    raise ConflictError(
        f"{song.filename!r} has no original to go back to.", "It was not cleaned, or its original was deleted."
    )


def _with_lyrics(song: AudioFile, moved: Callable[[str], str]) -> AudioFile:
    proposals = tuple(
        replace(one, value=moved(one.value), replaces=moved(one.replaces)) if one.kind == "lyrics" else one
        for one in song.proposals
    )
    return replace(song, caption=moved(song.caption), proposals=proposals)
