"""What a person asks for: one song."""

import secrets
from dataclasses import dataclass

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import require_readable

NEW_SEEDS = 2**31
MAX_TAGS_CHARS = 5_000


@dataclass(frozen=True)
class SongRequest:
    """Prompt, length and sampling settings of one song.

    `tags` is a comma-separated list; empty `lyrics` give an instrumental. The same request on the same weights
    gives the same song. Whether a long prompt and `duration_sec` fit together depends on the base model,
    so that is checked by `Engine.generate`.

    Raises InvalidInputError when a value is outside what is allowed.
    """

    tags: str
    lyrics: str = ""
    duration_sec: float = 60.0
    seed: int = 0
    temperature: float = 1.0
    topk: int = 50
    cfg_scale: float = 1.5

    def __post_init__(self) -> None:
        for name in ("tags", "lyrics"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInputError(f"`{name}` is not text.", f"Give `{name}` as one string; it may be empty.")
        require_readable(self.lyrics)
        if len(self.tags) > MAX_TAGS_CHARS:
            raise InvalidInputError(
                f"The tags have {len(self.tags):,} characters.", f"Give at most {MAX_TAGS_CHARS:,}."
            )
        self._check_number("duration_sec", 1.0, 600.0)
        self._check_number("seed", 0, 2**53 - 1, whole=True)  # 2**53 - 1 is the largest integer JavaScript keeps exact
        self._check_number("temperature", 0.01, 5.0)
        self._check_number("topk", 1, 100_000, whole=True)
        self._check_number("cfg_scale", 1.0, 10.0)

    def _check_number(self, name: str, low: float, high: float, whole: bool = False) -> None:
        value = getattr(self, name)
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            number = "a whole number" if whole else "a number"
            raise InvalidInputError(
                f"`{name}` is {value!r}, which is not allowed.", f"Give {number} from {low} to {high}."
            )


def seed_or_new(seed: int | None) -> int:
    """Return the seed; draw one where there is none."""
    return secrets.randbelow(NEW_SEEDS) if seed is None else seed
