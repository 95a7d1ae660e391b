"""Decoding with FFmpeg's libraries, strictly forwards: parts of a file → float32 blocks, in bounded memory."""

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import av
import numpy as np

from heartmula_studio.codec import mpeg
from heartmula_studio.codec.mpeg import MpegSection
from heartmula_studio.codec.parts import ContainerPart, Part

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MPEG_DECODERS = {"MP1": "mp1float", "MP2": "mp2float", "MP3": "mp3float"}
EXACT_LENGTHS, TOLD_LENGTHS = ("flac", "au"), ("flac", "au", "wav", "mov")
"""Demuxers that take the length from a header and do not guess it; "wav" also where compressed samples may differ."""

PADDED_LENGTHS = ("mov",)
"""Demuxers that know how many samples are sound, behind which the last frame is only filled up."""

FLAC_OPTIONS = {"err_detect": "crccheck+explode"}
DECODE_BLOCK_VALUES = 2**17
"""Samples times channels that are handed on at a time: half a megabyte."""


class DecodingError(Exception):
    """FFmpeg cannot open or go on with a part, or the part ends too early; `samples` is how many it gave before."""

    def __init__(self, reason: str, samples: int = 0):
        super().__init__(reason)
        self.samples = samples


@dataclass(frozen=True)
class Block:
    """Decoded sound: float32 [channels, n], and the names of the channels as FFmpeg gives them ("FL", "NONE")."""

    samples: np.ndarray
    sample_rate_hz: int
    speakers: tuple[str, ...]

    @property
    def num_samples(self) -> int:
        return self.samples.shape[1]


@dataclass(frozen=True)
class DecodedPart:
    """A part that is being decoded. `told_samples` is its length by its headers, or 0 where they tell nothing."""

    sample_rate_hz: int
    told_samples: int
    blocks: Iterator[Block]


class FileWindow(io.RawIOBase):
    """The bytes from `start` to `end` of an open file, as a file."""

    def __init__(self, file: BinaryIO, start: int, end: int):
        super().__init__()
        self._descriptor, self._start, self._size, self._at = file.fileno(), start, end - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer)
        num_bytes = max(0, min(len(target), self._size - self._at))
        data = read_at(self._descriptor, num_bytes, self._start + self._at)
        target[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_at(descriptor: int, num_bytes: int, offset: int) -> bytes:
    """Read from a place in an open file; only Windows moves the file's own place by that."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, num_bytes, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, num_bytes)


@contextmanager
def open_part(file: BinaryIO, part: Part) -> Iterator[DecodedPart]:
    """Decode one part of an open file. Raises DecodingError, also while its blocks are read."""
    opened = open_mpeg(file, part) if isinstance(part, MpegSection) else open_container(file, part)
    with opened as decoded:
        yield decoded


@contextmanager
def open_mpeg(file: BinaryIO, section: MpegSection) -> Iterator[DecodedPart]:
    """Frame by frame, as a reader that seeks loses the bits that frames keep for later ones."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        blocks = trimmed(mpeg_blocks(data, section), section.skipped_samples, section.num_samples)
        yield DecodedPart(section.header.sample_rate_hz, section.num_samples, gathered(blocks))


def mpeg_blocks(data: mmap.mmap, section: MpegSection) -> Iterator[Block]:
    """Yield each frame's block; silence takes the place of a frame that cannot be decoded."""
    decoder = av.CodecContext.create(MPEG_DECODERS[section.format], "r")
    assert isinstance(decoder, av.AudioCodecContext)
    silence = None
    for offset, header in mpeg.walk(data, section.start, section.end):
        try:
            frames = decoder.decode(av.Packet(data[offset : offset + header.frame_bytes]))
        except av.FFmpegError as error:
            if silence is None:
                raise DecodingError(reason(error)) from error
            frames = []
            yield silence
        for frame in frames:
            block = block_of(frame)
            silence = Block(np.zeros_like(block.samples), block.sample_rate_hz, block.speakers)
            yield block


def trimmed(blocks: Iterator[Block], skipped_samples: int, num_samples: int) -> Iterator[Block]:
    """Leave out the first `skipped_samples`, and everything behind the `num_samples` that follow them."""
    at, end = 0, skipped_samples + num_samples
    for block in blocks:
        length = block.num_samples
        kept = block.samples[:, max(0, skipped_samples - at) : max(0, end - at)]
        if kept.shape[1] > 0:
            yield Block(kept, block.sample_rate_hz, block.speakers)
        at += length


@contextmanager
def open_container(file: BinaryIO, part: ContainerPart) -> Iterator[DecodedPart]:
    """Through FFmpeg's demuxer for this format and no other, whatever the content may claim to be."""
    try:
        window = FileWindow(file, part.start, part.end)
        container = av.open(window, "r", part.demuxer, dict(part.options), metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise DecodingError(reason(error)) from error
    with container:
        if not container.streams.audio:
            raise DecodingError("it holds no sound")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise DecodingError("its encoding is unknown")
        told = told_samples(stream) if part.demuxer in TOLD_LENGTHS else 0
        promised = told if part.demuxer in EXACT_LENGTHS else 0
        if part.demuxer == "flac":
            stream.codec_context.options = FLAC_OPTIONS
            blocks = flac_blocks(container, stream, promised)
        else:
            blocks = container_blocks(container, stream, promised)
        if part.demuxer in PADDED_LENGTHS and told > 0:
            blocks = trimmed(blocks, 0, told)
        yield DecodedPart(stream.codec_context.sample_rate, told, gathered(blocks))


def reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def told_samples(stream: av.AudioStream) -> int:
    if stream.duration is None or stream.time_base is None:
        return 0
    return int(stream.duration * stream.time_base * stream.codec_context.sample_rate)


def container_blocks(container: av.container.InputContainer, stream: av.AudioStream, promised: int) -> Iterator[Block]:
    """Yield each decoded frame; what cannot be decoded is left out, as FFmpeg does.

    Raises DecodingError where nothing can be decoded, or less than `promised` samples.
    """
    failure, samples = None, 0
    for frame in decoded_frames(container, stream):
        if isinstance(frame, av.FFmpegError):
            failure = frame
        else:
            samples += frame.samples
            yield block_of(frame)
    if samples < promised or (failure is not None and samples == 0):
        raise DecodingError("it ends early" if failure is None else reason(failure), samples) from failure


def decoded_frames(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame | av.FFmpegError]:
    """Yield each frame, and an error in place of a packet without one."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                yield error
    except av.FFmpegError as error:
        yield error


def flac_blocks(container: av.container.InputContainer, stream: av.AudioStream, promised: int) -> Iterator[Block]:
    """Yield each frame; raises DecodingError for one whose checksum is wrong, and for missing ones.

    Frames carry their positions: a piece that was cut out of a song does not begin at 0, and reaches its end all the
    same.
    """
    samples, expected = 0, None
    for frame in decoded_frames(container, stream):
        if isinstance(frame, av.FFmpegError):
            raise DecodingError(reason(frame), samples) from frame
        if frame.pts is None or expected not in (None, frame.pts):
            raise DecodingError("frames are missing", samples)
        samples, expected = samples + frame.samples, frame.pts + frame.samples
        yield block_of(frame)
    if (expected or 0) < promised:
        raise DecodingError("it ends early", samples)


def block_of(frame: av.AudioFrame) -> Block:
    """A frame's samples as float32, with integers scaled to ±1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        samples = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        samples = (values / 2.0 ** (8 * values.itemsize - 1)).astype(np.float32)
    else:
        samples = values.astype(np.float32)
    return Block(samples, frame.sample_rate, tuple(channel.name for channel in frame.layout.channels))


def gathered(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same samples in fewer blocks; rate and speakers are the same throughout each."""
    pending: list[Block] = []
    values = 0
    for block in blocks:
        if pending and (block.sample_rate_hz, block.speakers) != (pending[0].sample_rate_hz, pending[0].speakers):
            yield joined(pending)
            pending, values = [], 0
        pending.append(block)
        values += block.samples.size
        if values >= DECODE_BLOCK_VALUES:
            yield joined(pending)
            pending, values = [], 0
    if pending:
        yield joined(pending)


def joined(blocks: list[Block]) -> Block:
    samples = np.concatenate([block.samples for block in blocks], axis=1)
    return Block(samples, blocks[0].sample_rate_hz, blocks[0].speakers)
