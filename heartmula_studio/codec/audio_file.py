"""Audio files in and out, in blocks: checking, reading as stereo at any rate, writing with tags.

Formats by content, never by name: MP3, WAV (8 to 192 kHz, integer or float), FLAC and OGG (Vorbis, Opus) are read;
WAV, FLAC and MP3 are written.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import mutagen
import numpy as np
import soundfile
import torch
from torch import Tensor

from heartmula_studio.atomic import replaced_file
from heartmula_studio.codec.completeness import CUT_HINT, check_complete
from heartmula_studio.codec.downmix import stereo_matrix
from heartmula_studio.codec.mpeg import MpegStream, mended_copy, scan
from heartmula_studio.codec.resample import regroup, resample_blocks
from heartmula_studio.codec.sniff import audio_format, open_binary
from heartmula_studio.codec.tags import write_tags
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

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus")  # what songs are called; their content decides
DECODE_BLOCK_VALUES = 2**17
"""Samples times channels that are decoded at a time: half a megabyte."""

MP3_DELAY_SAMPLES = 4 * 1152
"""Decoders drop up to this much at the ends of an MP3 stream."""

WRITTEN_FORMATS = {
    ".wav": {"format": "WAV", "subtype": "PCM_16"},
    ".flac": {"format": "FLAC", "subtype": "PCM_16"},
    ".mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.0},
}
"""16 bits: the codec's own noise lies far above the rounding. MP3 at LAME's best variable quality (V0)."""


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
    """A file whose format is known and that holds all its container promises. `mpeg` is what an MP3 file consists of.

    Every method opens and decodes the file once.
    """

    path: Path
    format: str
    mpeg: MpegStream | None

    @classmethod
    def find(cls, path: str | Path) -> "AudioSource":
        """Look at a file without decoding it.

        Raises a subclass of AudioError: missing, unreadable, empty, cut off, protected, or not audio at all.
        """
        path = Path(path)
        kind = audio_format(path)
        stream = scan(path) if kind == "MP3" else None
        check_complete(path, kind, stream)
        return cls(path, kind, stream)

    def probe(self, limits: AudioLimits | None = None) -> AudioInfo:
        """Decode the whole file, in blocks, and make sure that it can be learned from. Raises as `probe` does."""
        path, limits = self.path, limits or AudioLimits()
        with self.open() as file:
            check_rate(path, file.samplerate, limits)
            check_not_too_long(path, file.frames / file.samplerate, limits)
            samples, peak = 0, 0.0
            for block in decode_blocks(path, file):
                samples += len(block)
                peak = max(peak, float(np.abs(block).max()))
                check_not_too_long(path, samples / file.samplerate, limits)
            info = AudioInfo(path, self.format, samples / file.samplerate, file.samplerate, file.channels, samples)
        check_content(info, peak, limits)
        return info

    def read_blocks(self, sample_rate_hz: int, block_samples: int) -> Iterator[Tensor]:
        """Yield stereo blocks as `read_blocks` does."""
        with self.open() as file:
            matrix = stereo_matrix(file.channels, self.format)
            stereo = (torch.from_numpy(matrix @ block.T) for block in decode_blocks(self.path, file))
            yield from regroup(resample_blocks(stereo, file.samplerate, sample_rate_hz), block_samples)

    @contextmanager
    def open(self) -> Iterator[soundfile.SoundFile]:
        """Open for decoding; an MP3 file whose start would mislead the decoder goes through a mended copy."""
        with ExitStack() as stack:
            source = stack.enter_context(open_binary(self.path))
            if self.mpeg is not None and self.mpeg.needs_mending:
                source = stack.enter_context(mended_copy(self.path, self.mpeg))
            try:
                # By descriptor, so that no suffix of the name (.raw) can mislead the decoder.
                file = stack.enter_context(soundfile.SoundFile(source.fileno(), closefd=False))
            except soundfile.LibsndfileError as error:
                raise CorruptAudioError(
                    f"{self.path.name} is a {self.format} file that cannot be decoded: {error.error_string}",
                    "It is damaged, or of a rare kind. Export the song again as WAV, FLAC or MP3.",
                ) from error
            yield file


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


def decode_blocks(path: Path, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Yield float32 blocks [samples, channels].

    Raises TruncatedAudioError where decoding stops early, CorruptAudioError at a value that is not a number.
    """
    samples = 0
    while True:
        try:
            block = file.read(DECODE_BLOCK_VALUES // file.channels, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise stopped_early(path, samples / file.samplerate) from error
        if len(block) == 0:
            break
        if not np.isfinite(block).all():
            raise CorruptAudioError(
                f"{path.name} holds values that are no numbers (NaN, infinity) near {samples / file.samplerate:.1f} s.",
                "Export the song again, best as 16- or 24-bit WAV or FLAC.",
            )
        samples += len(block)
        yield block
    tolerance = MP3_DELAY_SAMPLES if file.format == "MP3" else 0
    if samples < file.frames - tolerance:
        raise stopped_early(path, samples / file.samplerate)


def stopped_early(path: Path, at_sec: float) -> TruncatedAudioError:
    return TruncatedAudioError(f"{path.name} is cut off or damaged: decoding stops after {at_sec:.1f} s.", CUT_HINT)


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
        raise EmptyAudioError(f"{name} is empty: it holds no sound.", "Export the song again.")
    if info.duration_sec < limits.min_sec:
        raise AudioTooShortError(
            f"{name} is too short: {info.duration_sec:.2f} s.", f"At least {limits.min_sec:g} s are needed."
        )
    if peak > limits.max_peak:
        raise CorruptAudioError(
            f"{name} reaches a level of {peak:,.0f}, where 1 is full scale.",
            "Export the song again with normal levels, best as 16- or 24-bit WAV or FLAC.",
        )
    if peak <= 10 ** (limits.silence_db / 20):
        level = f"its peak is {20 * math.log10(peak):.0f} dB" if peak > 0 else "all samples are zero"
        raise SilentAudioError(
            f"{name} is silent: {level}.",
            f"Somewhere it must be louder than {limits.silence_db:g} dB below full scale. Check the export.",
        )


class AudioWriter:
    """Writes stereo WAV, FLAC or MP3, by the suffix of `path`, block by block.

    The file appears whole when the `with` block ends, tags included, or not at all when it raises. Raises StorageError
    where the disk does not take it all.

        with AudioWriter("song.flac", 48000, {"title": "Rain"}) as writer:
            writer.write(waveform)
    """

    def __init__(self, path: str | Path, sample_rate_hz: int, tags: Mapping[str, str] | None = None):
        """Raises InvalidInputError for any other suffix."""
        self.path = Path(path)
        self.sample_rate_hz = sample_rate_hz
        self.tags = dict(tags or {})
        self._samples = 0
        if self.path.suffix.lower() not in WRITTEN_FORMATS:
            raise InvalidInputError(
                f"{self.path.name} has a suffix that cannot be written.",
                f"Choose one of {', '.join(WRITTEN_FORMATS)}.",
            )

    def __enter__(self) -> "AudioWriter":
        self._opened = self._open()
        self._file = self._opened.__enter__()
        return self

    def __exit__(self, *failure) -> bool | None:
        return self._opened.__exit__(*failure)

    @contextmanager
    def _open(self) -> Iterator[soundfile.SoundFile]:
        with replaced_file(self.path) as temporary:
            settings = WRITTEN_FORMATS[self.path.suffix.lower()]
            with soundfile.SoundFile(temporary, "w", self.sample_rate_hz, channels=2, **settings) as file:
                yield file
            with storage_errors(self.path):
                write_tags(temporary, self.tags)
                check_samples(temporary, self._samples)

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
            f"{path} could not be written whole; is the disk full?", "Make room and try again."
        ) from error


def check_samples(path: Path, written_samples: int) -> None:
    """Raises TruncatedAudioError where a file holds less than was written: libsndfile hides errors when it closes."""
    source = AudioSource.find(path)
    with source.open() as file:
        samples = sum(len(block) for block in decode_blocks(path, file))
        if samples < written_samples - (MP3_DELAY_SAMPLES if source.format == "MP3" else 0):
            raise stopped_early(path, samples / file.samplerate)
