"""What a person asks for: one song."""

import secrets
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.definition import Definition, settings_of
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import require_readable
from heartmula_studio.lyrics.ttml import is_ttml, ttml_as_lrc

NEW_SEEDS = 2**31
MAX_EXACT_INTEGER = 2**53 - 1  # in JavaScript
MIN_SONG_SEC, MAX_SONG_SEC = 1, 600
OF_EARLIER_RELEASES: dict[str, Any] = {"min_duration_sec": 1.0}  # what a stored request means that does not say it
MAX_TAKES = 8  # of one request
OFFICIAL_CFG_SCALE, OFFICIAL_TEMPERATURE = 1.5, 1.0  # heartlib's
MAX_TITLE_CHARS = 80  # of one that is made of tags or lyrics


def new_seed() -> int:
    return secrets.randbelow(NEW_SEEDS)


def _readable(lyrics: str) -> str:
    lyrics = ttml_as_lrc(lyrics) if is_ttml(lyrics) else lyrics
    require_readable(lyrics)
    return lyrics


@dataclass(frozen=True)
class SongRequest(Definition):
    """Prompt, length and sampling settings of one song.

    `tags` is a comma-separated list; empty `lyrics` give an instrumental. The same request on the same weights
    gives the same song. Whether a long prompt and `duration_sec` fit together depends on the base model,
    so that is checked by `Engine.generate`.

    Raises InvalidInputError when a value is outside what is allowed.
    """

    tags: Annotated[
        str,
        Field(max_length=5_000, description="Comma-separated words for the music.", examples=["piano, calm, slow"]),
    ] = ""
    lyrics: Annotated[
        str,
        AfterValidator(_readable),
        Field(
            description="The words to sing; section marks like [verse] help. Empty: an instrumental.",
            examples=["[verse]\nThe sun creeps in across the floor"],
        ),
    ] = ""
    # Long enough for a song that ends by itself; nano makes it within half a minute on two CPU cores.
    duration_sec: Annotated[
        float,
        Field(
            ge=MIN_SONG_SEC,
            le=MAX_SONG_SEC,
            description="The longest it may get. A song may end earlier.",
            examples=[30.0],
        ),
    ] = 60.0
    seed: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_EXACT_INTEGER,
            description="Same number, same song; if left out, a new one each time.",
            examples=[7],
        ),
    ] = field(default_factory=new_seed)
    temperature: Annotated[
        float | None,
        Field(
            ge=0.01,
            le=5,
            description="Higher is more varied; left out, what suits the base, or styles of it: "
            f"{OFFICIAL_TEMPERATURE:g} for the official model.",
            examples=[1.0],
        ),
    ] = None
    topk: Annotated[
        int, Field(ge=1, le=100_000, description="Samples from this many of the most likely codes.", examples=[50])
    ] = 50
    cfg_scale: Annotated[
        float | None,
        Field(
            ge=1,
            le=10,
            description="How closely it follows tags and lyrics; left out, what suits the base: "
            f"{OFFICIAL_CFG_SCALE:g} for the official model.",
            examples=[1.5],
        ),
    ] = None
    loudness_lufs: Annotated[
        float | None,
        Field(
            ge=-40,
            le=-5,
            description="Loudness of the finished song in LUFS; streaming services play songs at -14. If left "
            "out, the song stays as it was made. Peaks stay below -1 dB, so a song with sharp peaks "
            "may end up softer.",
            examples=[-14.0],
        ),
    ] = None
    # Loud music may pause like a song that ends: of nano's songs in a style, one in ten stopped within 15 s.
    min_duration_sec: Annotated[
        float,
        Field(
            ge=MIN_SONG_SEC, le=MAX_SONG_SEC, description="A song does not end by itself before this.", examples=[20.0]
        ),
    ] = 20.0

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "SongRequest":
        """Read what a record or a receipt holds, of an earlier release, too. Raises InvalidInputError."""
        return cls(**{**OF_EARLIER_RELEASES, **values})

    @property
    def guidance(self) -> float:
        """The `cfg_scale`, or that of the official model where none is given."""
        return OFFICIAL_CFG_SCALE if self.cfg_scale is None else self.cfg_scale

    @property
    def sampling_temperature(self) -> float:
        """The `temperature`, or that of the official model where none is given."""
        return OFFICIAL_TEMPERATURE if self.temperature is None else self.temperature

    @property
    def max_frames(self) -> int:
        """The most frames that the song may get."""
        return round(self.duration_sec * FRAME_RATE_HZ)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "SongRequest":
        """Take the settings in `values`, defaults where there is none or None. Raises InvalidInputError."""
        return cls(**{name: value for name, value in values.items() if value is not None})


def takes_of(request: SongRequest, count: int) -> list[SongRequest]:
    """Return a request for each of several takes: the seeds count on. Raises InvalidInputError for too many."""
    if not 1 <= count <= MAX_TAKES:
        raise InvalidInputError(f"{count} takes were asked for.", f"Ask for 1 to {MAX_TAKES}.")
    seeds = [(request.seed + number) % (MAX_EXACT_INTEGER + 1) for number in range(count)]
    return [replace(request, seed=seed) for seed in seeds]


def title_of(tags: str, lyrics: str) -> str:
    """Return what a song is called that nobody has named: its tags, else how its lyrics begin; it may be empty."""
    return (tags.strip() or lyrics.strip().partition("\n")[0])[:MAX_TITLE_CHARS].strip()


SONG = settings_of(SongRequest)
