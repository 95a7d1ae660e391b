"""Where the sound of a file lies: the parts that are decoded behind each other. Decodes nothing."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from heartmula_studio.codec import adts, mpeg, ogg
from heartmula_studio.codec.apple_headers import (
    AIFF_PCM,
    READ_IN_AIFF,
    READ_IN_CAF,
    find_aiff_sound,
    find_caf_sound,
    mp4_problem,
    mp4_refusal,
)
from heartmula_studio.codec.completeness import (
    avi_problem,
    flac_problem,
    matroska_problem,
    voc_problem,
    wavpack_problem,
    wma_problem,
)
from heartmula_studio.codec.mpeg import MpegSection
from heartmula_studio.codec.sniff import CUT_HINT, id3_end, not_a_song, ogg_description, open_binary
from heartmula_studio.codec.wave_header import find_w64_data, find_wave_data
from heartmula_studio.errors import CorruptAudioError, TruncatedAudioError

MAX_PARTS = 10_000
PROBLEMS = {"VOC": voc_problem, "WV": wavpack_problem, "WMA": wma_problem, "MKA": matroska_problem, "AVI": avi_problem}
DEMUXERS = {"WMA": "asf", "MKA": "matroska"}
MPEG_IN_WAVE = (0x50, 0x55)
"""Format tags of MP2 and MP3 inside WAV."""

REFUSED_IN_WAVE = {
    **dict.fromkeys((0xFF, 0x1600, 0x1602, 0x1610, 0xA106), "AAC"),
    **dict.fromkeys((0x160, 0x161, 0x162, 0x163), "Windows Media Audio"),
    **dict.fromkeys((0x674F, 0x6750, 0x6751, 0x676F, 0x6770, 0x6771), "Vorbis"),
    0x2000: "AC-3",
    0x2001: "DTS",
}
"""Format tags of codecs whose frames a WAV does not mark, so that parts of them would be lost."""

FLAC_START = b"fLaC\x00\x00\x00\x22"
"""The mark and the header of the block that must follow it."""


@dataclass(frozen=True)
class ContainerPart:
    """The bytes from `start` to `end`, which FFmpeg's `demuxer` reads, with its options, as a file of their own."""

    start: int
    end: int
    demuxer: str
    options: tuple[tuple[str, str], ...] = ()


Part = MpegSection | ContainerPart
AnyPart = TypeVar("AnyPart", bound=Part)


def find_parts(path: Path, audio_format: str) -> tuple[str, tuple[Part, ...]]:
    """Find what is to be decoded of a file that `sniff.audio_format` has seen; return its true format with it.

    Raises TruncatedAudioError naming what is missing, NotAudioError for an OGG file that is no song, CorruptAudioError.
    """
    with open_binary(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if audio_format == "MP3":
            sections = mpeg_sections(path, data, id3_end(file), len(data))
            return sections[0].format, sections
        if audio_format in ("WAV", "W64"):
            return audio_format, wave_parts(path, file, data, audio_format)
        if audio_format == "FLAC":
            return audio_format, bounded(path, flac_parts(path, file, data))
        if audio_format == "OGG":
            return audio_format, bounded(path, ogg_parts(path, data, id3_end(file)))
        if audio_format in ("AIFF", "CAF"):
            return audio_format, apple_parts(path, file, len(data), audio_format)
        if audio_format == "M4A":
            return audio_format, mp4_parts(path, file, len(data))
        if audio_format == "AAC":
            return audio_format, adts_parts(path, data, id3_end(file))
        if audio_format in PROBLEMS and (problem := PROBLEMS[audio_format](file)):
            raise cut_off(path, problem)
        return audio_format, (
            ContainerPart(id3_end(file), len(data), DEMUXERS.get(audio_format, audio_format.lower())),
        )


def wave_parts(path: Path, file: BinaryIO, data: mmap.mmap, audio_format: str) -> tuple[Part, ...]:
    """The file itself; its samples alone where they are MPEG audio, or where FFmpeg does not understand the header."""
    wave = find_w64_data(file) if audio_format == "W64" else find_wave_data(file)
    if wave is None:
        raise cut_off(path, "it ends before its samples begin")
    if wave.problem:
        raise cut_off(path, wave.problem)
    if codec := REFUSED_IN_WAVE.get(wave.format.tag):
        raise not_a_song(path, f"a WAV file with {codec} inside")
    if wave.format.tag in MPEG_IN_WAVE:
        return mpeg_sections(path, data, wave.start, wave.end)
    is_misread = wave.order == ">" or wave.format.is_padded or (audio_format == "W64" and not wave.has_known_size)
    if wave.pcm_demuxer and is_misread:
        options = (("sample_rate", str(wave.format.sample_rate_hz)), ("ch_layout", wave.format.layout))
        return (ContainerPart(wave.start, wave.end, wave.pcm_demuxer, options),)
    return (ContainerPart(id3_end(file), len(data), audio_format.lower()),)


def apple_parts(path: Path, file: BinaryIO, end: int, audio_format: str) -> tuple[Part, ...]:
    """The file itself; its samples alone where an AIFF header does not tell how many they are."""
    is_aiff = audio_format == "AIFF"
    sound = find_aiff_sound(file) if is_aiff else find_caf_sound(file)
    if sound is None:
        raise cut_off(path, "it ends before its samples begin")
    if sound.encoding not in (READ_IN_AIFF if is_aiff else READ_IN_CAF):
        raise not_a_song(path, f"{'an AIFF' if is_aiff else 'a Core Audio'} file with {sound.codec_name} inside")
    if sound.problem:
        raise cut_off(path, sound.problem)
    if is_aiff and sound.promised_bytes is None and sound.encoding in AIFF_PCM:
        options = (("sample_rate", str(sound.sample_rate_hz)), ("ch_layout", f"{sound.channels}c"))
        return (ContainerPart(sound.start, end, sound.pcm_demuxer, options),)
    return (ContainerPart(id3_end(file), end, audio_format.lower()),)


def mp4_parts(path: Path, file: BinaryIO, end: int) -> tuple[Part, ...]:
    """The file itself, whose sound FFmpeg cuts as its edit list says."""
    if problem := mp4_problem(file):
        raise cut_off(path, problem)
    if refusal := mp4_refusal(file):
        raise not_a_song(path, refusal)
    return (ContainerPart(0, end, "mov"),)


def adts_parts(path: Path, data: mmap.mmap, start: int) -> tuple[Part, ...]:
    end, problem = adts.find_end(data, start)
    if problem:
        raise cut_off(path, problem)
    return (ContainerPart(start, end, "aac"),)


def flac_parts(path: Path, file: BinaryIO, data: mmap.mmap) -> Iterator[ContainerPart]:
    """Every FLAC file of those that were joined."""
    if problem := flac_problem(file):
        raise cut_off(path, problem)
    start = id3_end(file)
    while start >= 0:
        following = data.find(FLAC_START, start + 1)
        yield ContainerPart(start, following if following >= 0 else len(data), "flac")
        start = following


def mpeg_sections(path: Path, data: mmap.mmap, start: int, end: int) -> tuple[MpegSection, ...]:
    """Every encoder run, of which none lacks frames."""
    sections = bounded(path, mpeg.scan(data, start, end))
    if not sections:
        raise cut_off(path, "it ends before its first MP3 frame")
    for section in sections:
        if problem := mpeg_problem(section):
            raise cut_off(path, problem)
    return sections


def mpeg_problem(section: MpegSection) -> str:
    if section.missing_frames == 0:
        return ""
    if section.promised_frames is None:
        return f"it ends inside an {section.format} frame"
    promised_sec, present_sec = map(section.duration_sec, (section.promised_frames, section.frames))
    return f"its header promises {promised_sec:.1f} s and only {present_sec:.1f} s are there"


def ogg_parts(path: Path, data: mmap.mmap, start: int) -> Iterator[ContainerPart]:
    """Every link of the chain, of which each holds sound."""
    try:
        for link in ogg.links(data, start):
            check_ogg_link(path, link)
            yield ContainerPart(link.start, link.end, "ogg")
    except ogg.OggDamageError as error:
        if error.offset is None:
            raise cut_off(path, "it ends inside an OGG page") from error
        raise TruncatedAudioError(
            f"{path.name} is damaged: its OGG page at byte {error.offset:,} is not whole.", CUT_HINT
        ) from error


def check_ogg_link(path: Path, link: ogg.OggLink) -> None:
    if not link.kinds:
        raise cut_off(path, "its beginning is missing")
    if not link.has_sound:
        raise not_a_song(path, ogg_description(link.kinds))


def bounded(path: Path, parts: Iterator[AnyPart]) -> tuple[AnyPart, ...]:
    """All parts; a file that is made of absurdly many is refused before they fill the memory."""
    found: list[AnyPart] = []
    for part in parts:
        if len(found) == MAX_PARTS:
            raise CorruptAudioError(
                f"{path.name} consists of more than {MAX_PARTS:,} files joined together.",
                "Export the song again as WAV, FLAC or MP3.",
            )
        found.append(part)
    return tuple(found)


def cut_off(path: Path, problem: str) -> TruncatedAudioError:
    return TruncatedAudioError(f"{path.name} is cut off: {problem}.", CUT_HINT)
