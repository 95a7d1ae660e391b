"""What is stored of a recording that was cleaned."""

from dataclasses import dataclass

from heartmula_studio.store.field_types import Count, Duration, Filename, FilenameIfAny


@dataclass(frozen=True)
class Original:
    """A recording as it was before it was cleaned: its figures as in `AudioFile`, and lyrics, which became others.

    `stored_as` is its file, as in `Cleaned`; "" for the one that came in.
    """

    stored_as: FilenameIfAny
    duration_sec: Duration
    sample_rate: Count
    channels: Count
    size_bytes: Count
    sha256: str
    lyrics: str
    moved_lyrics: str


@dataclass(frozen=True)
class Cleaned:
    """What was cut off a recording and added to its level. `stored_as` is its file in the folder `cleaned`.

    `original` is what it was made from, None once a person has let go of that.
    """

    stored_as: Filename
    cut_start_sec: Duration = 0.0
    cut_end_sec: Duration = 0.0
    gain_db: float = 0.0
    original: Original | None = None

    @property
    def has_original(self) -> bool:
        return self.original is not None
