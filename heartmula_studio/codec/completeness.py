"""Does a file hold all that its container promises? Decoders take what is left of a cut file and do not complain."""

import struct
from pathlib import Path
from typing import BinaryIO

from heartmula_studio.codec import mpeg
from heartmula_studio.codec.sniff import id3_end, open_binary, read_at
from heartmula_studio.errors import TruncatedAudioError

CUT_HINT = "The copy, download or export broke off. Get the whole file again."
UNFINISHED = "its header was never completed and does not say how long it is"
UNKNOWN_SIZES = (0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF)
"""Data sizes that recorders write into a WAV header when they do not know the length in advance."""

LARGEST_OGG_PAGE_BYTES = 65307
OGG_PAGE_HEADER_BYTES = 27
OGG_END_OF_STREAM = 0x04


def check_complete(path: Path, audio_format: str, stream: mpeg.MpegStream | None) -> None:
    """Raises TruncatedAudioError naming the file and what is missing. `stream` is what `mpeg.scan` found in an MP3."""
    if audio_format == "MP3":
        problem = mp3_problem(stream)
    else:
        with open_binary(path) as file:
            problem = {"WAV": wav_problem, "FLAC": flac_problem, "OGG": ogg_problem}[audio_format](file)
    if problem:
        raise TruncatedAudioError(f"{path.name} is cut off: {problem}.", CUT_HINT)


def mp3_problem(stream: mpeg.MpegStream | None) -> str:
    if stream is None:
        return "it ends before its first MP3 frame"
    if stream.missing_frames == 0:
        return ""
    if stream.promised_frames is None:
        return "it ends inside an MP3 frame"
    promised_sec, present_sec = map(stream.duration_sec, (stream.promised_frames, stream.frames))
    return f"its header promises {promised_sec:.1f} s and only {present_sec:.1f} s are there"


def wav_problem(file: BinaryIO) -> str:
    """Walk over the chunks (RIFF, RIFX, and RF64 with its 64-bit size) up to the samples."""
    end = file.seek(0, 2)
    order = ">" if read_at(file, 0, 4) == b"RIFX" else "<"
    offset, large_size = 12, None
    while len(header := read_at(file, offset, 8)) == 8:
        kind, size = struct.unpack(f"{order}4sI", header)
        if kind == b"ds64":
            large_size = int.from_bytes(read_at(file, offset + 16, 8), "little")
        if kind == b"data":
            return wav_data_problem(size if large_size is None else large_size, end - offset - 8)
        offset += 8 + size + size % 2
    return "it ends before its samples begin"


def wav_data_problem(promised_bytes: int, present_bytes: int) -> str:
    if promised_bytes == 0 < present_bytes:
        return UNFINISHED
    if promised_bytes in UNKNOWN_SIZES or promised_bytes <= present_bytes:
        return ""
    return f"its header promises {promised_bytes:,} bytes of sound and only {present_bytes:,} are there"


def flac_problem(file: BinaryIO) -> str:
    """Only the metadata is checked here, the total of samples included; the decoder reports frames that are missing."""
    end = file.seek(0, 2)
    offset, is_last = id3_end(file) + 4, False
    num_samples = int.from_bytes(read_at(file, offset + 17, 5), "big") & (2**36 - 1)
    while not is_last:
        header = read_at(file, offset, 4)
        offset += 4 + int.from_bytes(header[1:], "big")
        if len(header) < 4 or offset > end:
            return "it ends inside its header"
        is_last = header[0] & 0x80 != 0
    return "" if num_samples > 0 else UNFINISHED


def ogg_problem(file: BinaryIO) -> str:
    """The last page must be whole and carry the end-of-stream mark (RFC 3533, section 6)."""
    end = file.seek(0, 2)
    start = max(0, end - LARGEST_OGG_PAGE_BYTES)
    tail = read_at(file, start, LARGEST_OGG_PAGE_BYTES)
    page = tail[tail.rfind(b"OggS") :]
    segments = page[OGG_PAGE_HEADER_BYTES : OGG_PAGE_HEADER_BYTES + page[26]] if len(page) > 26 else b""
    if len(page) < OGG_PAGE_HEADER_BYTES or len(page) < OGG_PAGE_HEADER_BYTES + page[26] + sum(segments):
        return "it ends inside an OGG page"
    return "" if page[5] & OGG_END_OF_STREAM else "its last OGG page is missing"
