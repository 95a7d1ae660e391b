"""Audio files in and out, in blocks: checking, reading as stereo at any rate, writing with tags.

Formats by content, never by name: MP3 and its elders, WAV (8 to 192 kHz, integer or float) and its kin, FLAC, OGG
(Vorbis, Opus), AIFF, CAF, M4A (AAC, ALAC), raw AAC, WavPack and WMA are read; WAV, FLAC, MP3 and Opus are written.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import mutagen
import numpy as np
import soundfile
import torch
from torch import Tensor

from heartmula_studio.codec.cover import Cover, write_cover
from heartmula_studio.codec.decoder import Block, DecodingError, open_part
from heartmula_studio.codec.downmix import stereo_matrix
from heartmula_studio.codec.parts import Part, find_parts
from heartmula_studio.codec.resample import regroup, resample_blocks
from heartmula_studio.codec.sniff import CUT_HINT, audio_format, not_a_song, open_binary
from heartmula_studio.codec.tags import write_info, write_tags
from heartmula_studio.errors import (
    AudioError,
    AudioRateError,
    AudioTooLongError,
    AudioTooShortError,
    CorruptAudioError,
    EmptyAudioError,
    InvalidInputError,
    SilentAudioError,
    StorageError,
    TruncatedAudioError,
)
from heartmula_studio.files.atomic import replaced_file

AUDIO_SUFFIXES = (
    ".mp3",
    ".wav",
    ".wave",
    ".bwf",
    ".rf64",
    ".flac",
    ".ogg",
    ".opus",
    ".oga",
    ".aif",
    ".aiff",
    ".aifc",
    ".caf",
    ".m4a",
    ".m4b",
    ".mp4",
    ".mov",
    ".mka",
    ".mkv",
    ".webm",
    ".ac3",
    ".eac3",
    ".aac",
    ".mp1",
    ".mp2",
    ".w64",
    ".au",
    ".voc",
    ".wv",
    ".wma",
    ".wmv",
    ".ogv",
    ".avi",
)  # what songs are called; their content decides
WRITTEN_FORMATS: dict[str, dict[str, str | float]] = {
    ".wav": {"format": "WAV", "subtype": "PCM_16"},
    ".flac": {"format": "FLAC", "subtype": "PCM_16"},
    ".mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.0},
    ".opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 0.7},
    ".24bit.wav": {"format": "WAV", "subtype": "PCM_24"},
}
"""16 bits where nothing else is said: the codec's own noise lies far above the rounding. MP3 at LAME's best variable
quality (V0), Opus at about 160 kbit/s."""
ROUNDING_SEC = 1e-6
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True)
class AudioLimits:
    """What a recording must keep to. Where its peak, relative to full scale, stays below `silence_db`, it is silent."""

    min_sec: float = 1.0
    max_sec: float = 1200.0
    silence_db: float = -60.0
    max_peak: float = 16.0
    min_rate_hz: int = 8000
    max_rate_hz: int = 192000


@dataclass(frozen=True)
class AudioInfo:
    """A checked audio file. `samples` counts what was really decoded, per channel."""

    path: Path
    format: str
    duration_sec: float
    sample_rate_hz: int
    channels: int
    samples: int


@dataclass(frozen=True)
class AudioSource:
    """A file whose format is known and that holds all its container promises, and the parts its sound consists of.

    `probe` and `read_blocks` each decode the file once.
    """

    path: Path
    format: str
    parts: tuple[Part, ...]

    @classmethod
    def find(cls, path: str | Path) -> "AudioSource":
        """Look at a file without decoding it.

        Raises a subclass of AudioError: missing, unreadable, empty, cut off, protected, or not audio at all.
        """
        path = Path(path)
        return cls(path, *find_parts(path, audio_format(path)))

    def probe(self, limits: AudioLimits | None = None) -> AudioInfo:
        """Decode the whole file, in blocks, and make sure that it can be learned from. Raises as `probe` does."""
        path, limits = self.path, limits or AudioLimits()
        samples, peak, rate_hz, channels = 0, 0.0, 1, 0
        for block in self.decode(limits):
            samples += block.num_samples
            peak = max(peak, float(np.abs(block.samples).max()))
            rate_hz, channels = block.sample_rate_hz, max(channels, len(block.speakers))
            check_not_too_long(path, samples / rate_hz, limits)
        info = AudioInfo(path, self.format, samples / rate_hz, rate_hz, channels, samples)
        check_content(info, peak, limits)
        return info

    def read_blocks(self, sample_rate_hz: int, block_samples: int) -> Iterator[Tensor]:
        """Yield stereo blocks as `read_blocks` does."""
        blocks = self.decode()
        first = next(blocks, None)
        if first is not None:
            stereo = (as_stereo(block) for block in chain((first,), blocks))
            yield from regroup(resample_blocks(stereo, first.sample_rate_hz, sample_rate_hz), block_samples)

    def find_rate_hz(self) -> int:
        """The recording's own sampling rate. Raises as `decode`, and EmptyAudioError."""
        first = next(self.decode(), None)
        if first is None:
            raise empty(self.path)
        return first.sample_rate_hz

    def decode(self, limits: AudioLimits | None = None) -> Iterator[Block]:
        """Yield the blocks of all parts; where `limits` are given, what headers promise is held against them.

        Raises TruncatedAudioError where decoding stops early, CorruptAudioError where it does not begin or at a value
        that is not a number, AudioRateError where the sampling rate changes.
        """
        samples, rate_hz = 0, None
        with open_binary(self.path) as file:
            for part in self.parts:
                for block in self._decode_part(file, part, samples, limits):
                    check_block(self.path, block, rate_hz, samples)
                    rate_hz = block.sample_rate_hz
                    samples += block.num_samples
                    yield block

    def _decode_part(
        self, file: BinaryIO, part: Part, samples_before: int, limits: AudioLimits | None
    ) -> Iterator[Block]:
        rate_hz = 1
        try:
            with open_part(file, part) as decoded:
                rate_hz = decoded.sample_rate_hz
                if limits is not None:
                    check_rate(self.path, rate_hz, limits)
                    check_not_too_long(self.path, (samples_before + decoded.told_samples) / rate_hz, limits)
                yield from decoded.blocks
        except DecodingError as error:
            if (samples := samples_before + error.samples) > 0:
                raise stopped_early(self.path, samples / rate_hz) from error
            raise CorruptAudioError(
                f"{self.path.name} is a {self.format} file that cannot be decoded: {error}.",
                "It is damaged, or of a rare kind. Export the song again as WAV, FLAC or MP3.",
            ) from error


def probe(path: str | Path, limits: AudioLimits | None = None) -> AudioInfo:
    """Decode a whole file once, in blocks, and make sure that it can be learned from.

    Raises a subclass of AudioError that says what is wrong: missing, unreadable, empty, silent, cut off, corrupt,
    protected, not audio at all, too short, too long, or of a strange sampling rate.
    """
    return AudioSource.find(path).probe(limits)


def read_blocks(path: str | Path, sample_rate_hz: int, block_samples: int) -> Iterator[Tensor]:
    """Yield float32 blocks [2, block_samples], the last one shorter, folded to stereo and resampled.

    Their concatenation equals resampling the whole file; memory does not grow with its length. Raises as `probe`
    does, but checks neither limits nor silence.
    """
    yield from AudioSource.find(path).read_blocks(sample_rate_hz, block_samples)


def as_stereo(block: Block) -> Tensor:
    return torch.from_numpy(stereo_matrix(block.speakers) @ block.samples)


def check_block(path: Path, block: Block, rate_hz: int | None, samples_before: int) -> None:
    """Raises AudioRateError where the rate is no longer `rate_hz`, CorruptAudioError at NaN and infinity.

    Raises NotAudioError for ambisonic sound, whose channels are no speakers.
    """
    if block.speakers[0].startswith("AMBI"):
        raise not_a_song(path, "an ambisonic recording, made for headsets and rooms of speakers")
    if rate_hz not in (None, block.sample_rate_hz):
        raise AudioRateError(
            f"{path.name} changes its sampling rate at {samples_before / rate_hz:.1f} s, from {rate_hz:,} to "
            f"{block.sample_rate_hz:,} Hz.",
            "It was put together from different recordings. Cut it there, or export it again at one rate.",
        )
    if not np.isfinite(block.samples).all():
        raise CorruptAudioError(
            f"{path.name} contains invalid values (NaN or infinity) near "
            f"{samples_before / block.sample_rate_hz:.1f} s.",
            "Export the song again, preferably as 16- or 24-bit WAV or FLAC.",
        )


def stopped_early(path: Path, at_sec: float) -> TruncatedAudioError:
    return TruncatedAudioError(f"{path.name} is cut off or damaged: decoding stops after {at_sec:.1f} s.", CUT_HINT)


def empty(path: Path) -> EmptyAudioError:
    return EmptyAudioError(f"{path.name} is empty: it holds no sound.", "Export the song again.")


def check_rate(path: Path, rate_hz: int, limits: AudioLimits) -> None:
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise AudioRateError(
            f"{path.name} has a sampling rate of {rate_hz:,} Hz.",
            f"Allowed are {limits.min_rate_hz:,} to {limits.max_rate_hz:,} Hz. Export the song at 44,100 or 48,000 Hz.",
        )


def check_not_too_long(path: Path, duration_sec: float, limits: AudioLimits) -> None:
    if duration_sec > limits.max_sec:
        raise AudioTooLongError(
            f"{path.name} is too long: {duration_sec / 60:.1f} minutes or more.",
            f"Allowed are {limits.max_sec / 60:g} minutes. Cut it into songs.",
        )


def check_content(info: AudioInfo, peak: float, limits: AudioLimits) -> None:
    """Raises EmptyAudioError, SilentAudioError, CorruptAudioError (absurd levels) or AudioTooShortError."""
    name = info.path.name
    if info.samples == 0:
        raise empty(info.path)
    if info.duration_sec < limits.min_sec:
        raise AudioTooShortError(
            f"{name} is too short: {info.duration_sec:.2f} s.", f"At least {limits.min_sec:g} s are needed."
        )
    if peak > limits.max_peak:
        raise CorruptAudioError(
            f"{name} reaches a level of {peak:,.0f}, where 1 is full scale.",
            "Export the song again with normal levels, preferably as 16- or 24-bit WAV or FLAC.",
        )
    if peak <= 10 ** (limits.silence_db / 20):
        level = f"its peak is {20 * math.log10(peak):.0f} dB" if peak > 0 else "all samples are zero"
        raise SilentAudioError(
            f"{name} is silent: {level}.",
            f"Somewhere it must be louder than {limits.silence_db:g} dB below full scale. Check the export.",
        )


class AudioWriter:
    """Writes stereo sound block by block, in the format that the suffix of `path` names in `WRITTEN_FORMATS`.

    The file appears whole when the `with` block ends, tags included, or not at all when it raises. Raises StorageError
    where the disk does not take it all.

        with AudioWriter("song.flac", 48000, {"title": "Rain"}) as writer:
            writer.write(waveform)
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate_hz: int,
        tags: Mapping[str, str] | None = None,
        cover: Cover | None = None,
    ):
        """Raises InvalidInputError for any other suffix, or a sampling rate that the format does not have."""
        self.path = Path(path)
        self.sample_rate_hz = sample_rate_hz
        self.tags, self._cover = dict(tags or {}), cover
        self._samples = 0
        self._settings = WRITTEN_FORMATS[written_suffix(self.path)]
        if self._settings["subtype"] == "OPUS" and sample_rate_hz not in OPUS_RATES_HZ:
            raise InvalidInputError(
                f"Opus does not support a sampling rate of {sample_rate_hz:,} Hz.", f"Choose one of {OPUS_RATES_HZ}."
            )

    def __enter__(self) -> "AudioWriter":
        self._opened = self._open()
        self._file = self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._opened.__exit__(kind, error, traceback)

    @contextmanager
    def _open(self) -> Iterator[soundfile.SoundFile]:
        with replaced_file(self.path) as temporary:
            with soundfile.SoundFile(temporary, "w", self.sample_rate_hz, channels=2, **self._settings) as file:
                yield file
                write_info(file, self.tags)
            with storage_errors(self.path):
                write_tags(temporary, self.tags)
                if self._cover:
                    write_cover(temporary, self._cover)
                check_length(temporary, self._samples / self.sample_rate_hz)

    def write(self, waveform: Tensor) -> None:
        """Append [2, n] samples; what is louder than full scale is clipped."""
        assert waveform.ndim == 2, waveform.shape
        assert waveform.shape[0] == 2, waveform.shape
        assert torch.isfinite(waveform).all(), "the waveform holds NaN or infinity"
        with storage_errors(self.path):
            self._file.write(waveform.detach().clamp(-1.0, 1.0).T.cpu().numpy())
        self._samples += waveform.shape[1]


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise StorageError for what encoders and taggers raise where a disk is full."""
    try:
        yield
    except (soundfile.SoundFileError, mutagen.MutagenError, OSError, AudioError) as error:
        raise StorageError(
            f"{path} could not be written completely; is the disk full?", "Make room and try again."
        ) from error


def check_length(path: Path, written_sec: float) -> None:
    """Raises TruncatedAudioError where a file holds less than was written: libsndfile hides errors when it closes."""
    read_sec = sum(block.num_samples / block.sample_rate_hz for block in AudioSource.find(path).decode())
    if read_sec < written_sec - ROUNDING_SEC:
        raise TruncatedAudioError(f"{path.name} holds {read_sec:.4f} of {written_sec:.4f} s.", CUT_HINT)


def written_suffix(path: Path) -> str:
    """Return the longest suffix of `WRITTEN_FORMATS` that a name ends with. Raises InvalidInputError for none."""
    found = [suffix for suffix in WRITTEN_FORMATS if path.name.lower().endswith(suffix)]
    if not found:
        raise InvalidInputError(
            f"{path.name} has an extension that cannot be written.", f"Choose one of {', '.join(WRITTEN_FORMATS)}."
        )
    return max(found, key=len)
