"""What the model will hear: a song through the codec and back, with a figure for what was lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from heartmula_studio.codec.audio_file import AudioWriter, read_blocks
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.codec.quality import SHORTEST_SAMPLES, log_mel_distance
from heartmula_studio.codec.resample import regroup
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.errors import InvalidInputError

STRETCH_SEC = 10
DISTANCE_TAG, DISTANCE_DIGITS = "log_mel_distance", 4


@dataclass(frozen=True)
class RoundTrip:
    """`distance` is the log-mel distance of the whole song: 0 is perfect."""

    distance: float
    tokens: Tokens
    out_path: Path


def roundtrip(
    path: str | Path,
    codec: Codec,
    out_path: str | Path,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    seed: int = 0,
) -> RoundTrip:
    """Encode a file, decode it to `out_path` (WAV, FLAC or MP3) and compare. Raises as `Codec.encode_file` does.

    Raises InvalidInputError where `out_path` is the song itself.
    """
    if Path(out_path).resolve() == Path(path).resolve():
        raise InvalidInputError(f"{out_path} is the song itself.", "Choose another file to write to.")
    report = progress or (lambda done, total: None)
    AudioWriter(out_path, codec.sample_rate_hz)  # a wrong suffix is refused before minutes are spent
    tokens = codec.encode_file(path, lambda done, total: report(done, 2 * total), cancelled)
    distance = play_back(
        path, tokens.codes, codec, out_path, lambda done, total: report(total + done, 2 * total), cancelled, seed
    )
    return RoundTrip(distance, tokens, Path(out_path))


def play_back(
    path: str | Path,
    codes: Tensor,
    codec: Codec,
    out_path: str | Path,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    seed: int = 0,
    tags: Mapping[str, str] | None = None,
) -> float:
    """Decode `codes` [K, T], the song in `path` or its beginning, to `out_path`; return how far apart the two are.

    The file's own tags hold the distance and `tags`. Raises as `Codec.decode` does, and InvalidInputError for another
    suffix than of WAV, FLAC or MP3.
    """
    with AudioWriter(out_path, codec.sample_rate_hz) as writer:
        waveform = codec.decode(codes, seed, progress, cancelled)
        stretch_samples = STRETCH_SEC * codec.sample_rate_hz
        original = read_blocks(path, codec.sample_rate_hz, stretch_samples)
        pairs = []
        for heard in regroup(waveform, stretch_samples):
            writer.write(heard)
            pairs.append(compare(next(original, None), heard.clamp(-1.0, 1.0), codec.sample_rate_hz))
        distance = weighted_mean(pairs)
        writer.tags = {**(tags or {}), DISTANCE_TAG: f"{distance:.{DISTANCE_DIGITS}f}"}
    return distance


def compare(original: Tensor | None, heard: Tensor, sample_rate_hz: int) -> tuple[float, int]:
    """The distance of one stretch and its weight in samples; too short a rest counts nothing."""
    if original is None or (samples := min(original.shape[1], heard.shape[1])) < SHORTEST_SAMPLES:
        return 0.0, 0
    return log_mel_distance(original, heard, sample_rate_hz), samples


def weighted_mean(pairs: Iterable[tuple[float, int]]) -> float:
    pairs = list(pairs)
    return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
