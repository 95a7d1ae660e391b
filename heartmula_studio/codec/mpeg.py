"""MPEG audio (MP3, MP2, MP1) frame by frame, without decoding: where its frames are and what its headers promise.

An encoder counts the frames in a header frame (Xing, Info, VBRI) and notes there how many samples it put before and
behind the music. Files that were joined hold several such runs; a `MpegSection` is one of them.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SYNC = 0xFFE00000
HEADER_BYTES = 4
LAYER_I, LAYER_II, LAYER_III = 0b11, 0b10, 0b01
LAYER_NAMES = {LAYER_I: "MP1", LAYER_II: "MP2", LAYER_III: "MP3"}
MPEG_1 = 0b11
RESERVED = {"version": 0b01, "layer": 0b00, "rate_index": 0b11, "bitrate_index": 0b1111}
MONO = 0b11
RATES_HZ = {0b11: (44100, 48000, 32000), 0b10: (22050, 24000, 16000), 0b00: (11025, 12000, 8000)}
KBPS_MPEG_1 = {
    LAYER_I: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    LAYER_II: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    LAYER_III: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
KBPS_MPEG_2 = {
    LAYER_I: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    LAYER_II: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    LAYER_III: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
ID3_HEADER_BYTES, ID3_HAS_FOOTER = 10, 0x10
APE_MARK, APE_HEADER_BYTES = b"APETAGEX", 32
XING_HAS_FRAME_COUNT, XING_FIELDS_BYTES = 1, (4, 4, 100, 4)
GAPLESS_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
DECODER_DELAY_SAMPLES = 529
"""What every layer III decoder adds to the encoder's own delay."""

PROMISE_TOLERANCE_FRAMES = 2
"""Encoders disagree on whether the header's own frame and the flushed last one count."""

MAX_STRAY_BYTES = 2**20
"""How far the first frame is searched for, and how much is skipped between frames in all. Decoders give up sooner."""

FOLLOWERS = 2
"""So many frames of the same stream must follow before four bytes are believed to be a frame header."""

FRAME_START = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]")
"""The first three bytes of every header that `FrameHeader.parse` accepts, and of a few that it does not."""


@dataclass(frozen=True)
class FrameHeader:
    """The four bytes in front of every MPEG audio frame."""

    bits: int

    @classmethod
    def parse(cls, data: bytes) -> "FrameHeader | None":
        """The header at the start of `data`; None where there is none, or one of a free-format bitrate."""
        if len(data) < HEADER_BYTES:
            return None
        header = cls(int.from_bytes(data[:HEADER_BYTES], "big"))
        if header.bits & SYNC != SYNC or header.bitrate_index == 0:
            return None
        return None if any(getattr(header, name) == value for name, value in RESERVED.items()) else header

    @property
    def version(self) -> int:
        return self.bits >> 19 & 0b11

    @property
    def layer(self) -> int:
        return self.bits >> 17 & 0b11

    @property
    def bitrate_index(self) -> int:
        return self.bits >> 12 & 0b1111

    @property
    def rate_index(self) -> int:
        return self.bits >> 10 & 0b11

    @property
    def sample_rate_hz(self) -> int:
        return RATES_HZ[self.version][self.rate_index]

    @property
    def frame_samples(self) -> int:
        if self.layer == LAYER_I:
            return 384
        return 576 if self.layer == LAYER_III and self.version != MPEG_1 else 1152

    @property
    def frame_bytes(self) -> int:
        table = KBPS_MPEG_1 if self.version == MPEG_1 else KBPS_MPEG_2
        bits_per_sec = 1000 * table[self.layer][self.bitrate_index - 1]
        slot_bytes = 4 if self.layer == LAYER_I else 1
        slots = self.frame_samples // 8 * bits_per_sec // (self.sample_rate_hz * slot_bytes) + (self.bits >> 9 & 1)
        return slots * slot_bytes

    @property
    def side_info_bytes(self) -> int:
        mono = self.bits >> 6 & 0b11 == MONO
        if self.version == MPEG_1:
            return 17 if mono else 32
        return 9 if mono else 17

    def same_stream(self, other: "FrameHeader") -> bool:
        """Version, layer and sampling rate do not change inside a stream; bitrate, padding and stereo mode may."""
        fixed = SYNC | 0b11 << 19 | 0b11 << 17 | 0b11 << 10
        return self.bits & fixed == other.bits & fixed


@dataclass(frozen=True)
class EncoderInfo:
    """The header frame of an encoder: the frames it counted, and the samples it added before and behind the music."""

    frames: int | None
    delay_samples: int | None = None
    padding_samples: int = 0

    @classmethod
    def parse(cls, frame: bytes, header: FrameHeader) -> "EncoderInfo | None":
        """What `frame` holds, or None where it is a frame of sound."""
        if header.layer != LAYER_III:
            return None
        if frame[HEADER_BYTES + 32 :].startswith(b"VBRI"):
            return cls(int.from_bytes(frame[HEADER_BYTES + 46 : HEADER_BYTES + 50], "big") or None)
        xing = frame[HEADER_BYTES + header.side_info_bytes :]
        return cls._parse_xing(xing) if xing.startswith((b"Xing", b"Info")) and len(xing) >= 12 else None

    @classmethod
    def _parse_xing(cls, xing: bytes) -> "EncoderInfo":
        flags, count = struct.unpack(">II", xing[4:12])
        frames = count if flags & XING_HAS_FRAME_COUNT and count > 0 else None
        offset = 8 + sum(size for i, size in enumerate(XING_FIELDS_BYTES) if flags >> i & 1)
        encoder, delays = xing[offset : offset + 4], xing[offset + 21 : offset + 24]
        if encoder not in GAPLESS_ENCODERS or len(delays) < 3:
            return cls(frames)
        both = int.from_bytes(delays, "big")
        return cls(frames, both >> 12, both & 0xFFF)


@dataclass(frozen=True)
class MpegSection:
    """The frames of one encoder run, in the bytes from `start` to `end`; `info` is what its header frame told."""

    start: int
    end: int
    header: FrameHeader
    frames: int
    info: EncoderInfo | None
    last_frame_cut: bool

    @property
    def format(self) -> str:
        return LAYER_NAMES[self.header.layer]

    @property
    def promised_frames(self) -> int | None:
        return None if self.info is None else self.info.frames

    @property
    def missing_frames(self) -> int:
        """Frames that the section should hold and does not."""
        if self.promised_frames is None:
            return int(self.last_frame_cut)
        missing = self.promised_frames - self.frames
        return missing if missing > PROMISE_TOLERANCE_FRAMES or (self.last_frame_cut and missing > 0) else 0

    @property
    def skipped_samples(self) -> int:
        """Samples that encoder and decoder put before the music."""
        if self.info is None or self.info.delay_samples is None:
            return 0
        return self.info.delay_samples + DECODER_DELAY_SAMPLES

    @property
    def num_samples(self) -> int:
        """Samples of music, per channel. Where more frames came than were counted, the padding is behind the last."""
        padding = max(0, self.info.padding_samples - DECODER_DELAY_SAMPLES) if self.info else 0
        end = max(self.frames, self.promised_frames or 0) * self.header.frame_samples - padding
        return max(0, min(end, self.frames * self.header.frame_samples) - self.skipped_samples)

    def duration_sec(self, frames: int) -> float:
        return frames * self.header.frame_samples / self.header.sample_rate_hz


def skip_id3(data: bytes | mmap.mmap, start: int = 0) -> int:
    """The offset behind the ID3v2 tags (there may be several) at `start`."""
    offset = start
    while data[offset : offset + 3] == b"ID3" and len(data) >= offset + ID3_HEADER_BYTES:
        offset = id3_tag_end(data, offset)
    return offset


def id3_tag_end(data: bytes | mmap.mmap, start: int) -> int:
    """Where the tag at `start` ends: as it says itself, unless sound begins before that and not there.

    Some taggers write too large a size, and players then lose the beginning of the song.
    """
    size = 0
    for byte in data[start + 6 : start + ID3_HEADER_BYTES]:
        size = size << 7 | byte & 0x7F
    footer_bytes = ID3_HEADER_BYTES if data[start + 5] & ID3_HAS_FOOTER else 0
    end = start + ID3_HEADER_BYTES + size + footer_bytes
    if data[end : end + 3] == b"ID3" or begins_stream(data, end, len(data)):
        return end
    earlier = find_frame(data, start + ID3_HEADER_BYTES, min(end, len(data)), len(data))
    return end if earlier is None else earlier


def skip_tags(data: mmap.mmap, start: int) -> int:
    """The offset behind the ID3v2 and APEv2 tags at `start`, which joined files hold in their middle."""
    offset = skip_id3(data, start)
    if data[offset : offset + 8] != APE_MARK:
        return offset
    return offset + APE_HEADER_BYTES + int.from_bytes(data[offset + 12 : offset + 16], "little")


def find_frame(data: bytes | mmap.mmap, start: int, search_end: int, end: int) -> int | None:
    """The offset in [start, search_end) of the next frame that others, or the end of the data, follow."""
    for match in FRAME_START.finditer(data, start, search_end):
        if begins_stream(data, match.start(), end):
            return match.start()
    return None


def begins_stream(data: bytes | mmap.mmap, offset: int, end: int) -> bool:
    """Whether three frames of one stream follow each other at `offset`, or fewer that reach to the end exactly."""
    first = header = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
    for _ in range(FOLLOWERS):
        if first is None or header is None or not header.same_stream(first):
            return False
        offset += header.frame_bytes
        if offset >= end:
            return offset == end
        header = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
    return first is not None and header is not None and header.same_stream(first)


def walk(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, FrameHeader]]:
    """Offset and header of each frame in order, stepping over tags and damage; the last may reach beyond `end`."""
    offset, left, stream = start, MAX_STRAY_BYTES, None
    while offset < end:
        header = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
        if header is None or stream is None or not header.same_stream(stream):
            behind_tags = skip_tags(data, offset)
            found = find_frame(data, behind_tags, min(behind_tags + left, end), end)
            if found is None:
                return
            offset, left = found, left - (found - behind_tags)
            header = stream = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
            assert header is not None, "find_frame has read it"
        yield offset, header
        offset += header.frame_bytes


def scan(data: mmap.mmap, start: int, end: int) -> Iterator[MpegSection]:
    """Each encoder run between two offsets, in order; nothing where there is no frame. No frame is decoded."""
    first: FrameHeader | None = None
    told: EncoderInfo | None = None
    section_start, frames, behind, cut = start, 0, start, False
    for offset, header in walk(data, start, end):
        frame_end = offset + header.frame_bytes
        cut = frame_end > end
        info = EncoderInfo.parse(data[offset:frame_end], header)
        if first is None or info is not None or not header.same_stream(first):
            if first is not None and frames > 0:
                yield MpegSection(section_start, behind, first, frames, told, last_frame_cut=False)
            section_start, first, told = offset if info is None else frame_end, header, info
            frames, behind = 0, section_start
        if info is None and not cut:
            frames, behind = frames + 1, frame_end
    if first is not None:
        yield MpegSection(section_start, behind, first, frames, told, cut)
