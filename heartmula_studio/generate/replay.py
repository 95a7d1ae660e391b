"""Making a song again by its receipt: what has to be the same, and what was not. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.wording import counted
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import Receipt, StyleRecord
from heartmula_studio.generate.request import MAX_TAKES, SongRequest

NAMES = {
    "base_fingerprint": "base model",
    "codec_id": "codec",
    "sample_rate_hz": "sampling rate",
    "decode_steps": "number of decoding steps",
    "decode_guidance": "guidance of decoding",
    "decode_windows": "kind of decoding windows",
    "device": "device",
    "dtype": "precision",
}
HASH_CHARS = 12  # that are shown


@dataclass(frozen=True)
class ReplayResult:
    """Whether codes and sound came out the same bit for bit, None where the receipt is of a release that noted neither.

    `differences` are sentences on what the two songs were made with, or came out as, that is not the same.
    """

    is_same: bool | None
    differences: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        if self.is_same:
            return "The same song, bit for bit."
        verdict = "Not the same song." if self.is_same is False else "The receipt does not tell whether it is the same."
        return " ".join([verdict, *self.differences])


def compare(then: Receipt, now: Receipt) -> ReplayResult:
    """Compare a song that was made again with its first receipt."""
    pairs = {"codes": (then.codes_sha256, now.codes_sha256), "sound": (then.sound_sha256, now.sound_sha256)}
    if not all(before for before, _ in pairs.values()):
        return ReplayResult(None if then.frames == now.frames else False, tuple(differences(then, now)))
    changed = [f"The {name} came out different." for name, (before, after) in pairs.items() if before != after]
    return ReplayResult(not changed, (*differences(then, now), *changed))


def differences(then: Receipt, now: Receipt) -> Iterator[str]:
    """Yield a sentence on each thing that two songs were not alike made with."""
    for field, name in NAMES.items():
        yield from _difference(name, getattr(then, field), getattr(now, field))
    yield from _difference(
        "seed of decoding", *(decode_settings(one).noise_seed(one.request.seed) for one in (then, now))
    )
    yield from _difference("beginning", then.prefix_sha256 or "none", now.prefix_sha256 or "none")
    yield from _difference("ending", then.suffix_sha256 or "none", now.suffix_sha256 or "none")
    yield from _difference("list of takes", then.takes or "none", now.takes or "none")
    if then.num_beside != now.num_beside:
        yield f"It was made beside {then.num_beside} other songs before, and now beside {now.num_beside}."
    if [facts(style) for style in then.styles] != [facts(style) for style in now.styles]:
        yield f"The styles are {_styles(now)} instead of {_styles(then)}."
    for package in sorted(then.versions.keys() | now.versions.keys()):
        yield from _difference(package, then.versions.get(package, "none"), now.versions.get(package, "none"))


def facts(style: StyleRecord) -> tuple[object, ...]:
    """Return what a style does to a song."""
    return style.sha256, style.strength, style.attention_strength, style.mlp_strength, style.trigger_word


def decode_settings(receipt: Receipt) -> DecodeSettings:
    """Return how a song was decoded. Raises InvalidInputError for values that are not allowed."""
    return DecodeSettings(receipt.decode_steps, receipt.decode_guidance, receipt.decode_seed, receipt.decode_windows)


def requests_of(receipt: Receipt) -> tuple[list[SongRequest], int]:
    """Return what has to be made side by side for a song to be the same, and which of these it is.

    Raises InvalidInputError for more than can have been made, or a seed that is none.
    """
    seeds = receipt.takes or (receipt.request.seed,)
    if len(seeds) > MAX_TAKES or receipt.request.seed not in seeds:
        raise InvalidInputError(
            f"The receipt lists {counted(len(seeds), 'take')}.",
            f"1 to {MAX_TAKES} are made at once, and the song is one of them.",
        )
    requests = [replace(receipt.request, seed=seed) for seed in seeds]
    return requests, seeds.index(receipt.request.seed)


def _difference(name: str, before: object, after: object) -> Iterator[str]:
    if before != after:
        yield f"The {name} is {after} instead of {before}."


def _styles(receipt: Receipt) -> str:
    named = [f"{style.id} ({style.sha256[:HASH_CHARS]}) × {style.strength:g}" for style in receipt.styles]
    return " + ".join(named) or "none"
