"""Where the sound of a file lies: the parts that are decoded behind each other. Decodes nothing."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.codec import completeness, mpeg, ogg
from heartmula_studio.codec.mpeg import MpegSection
from heartmula_studio.codec.sniff import CUT_HINT, id3_end, not_a_song, ogg_description, open_binary
from heartmula_studio.errors import CorruptAudioError, TruncatedAudioError

MAX_PARTS = 10_000
MPEG_IN_WAVE = (0x50, 0x55)
"""Format tags of MP2 and MP3 inside WAV."""

DEMUXERS = {"WAV": "wav", "FLAC": "flac", "OGG": "ogg", "W64": "w64", "AU": "au", "VOC": "voc"}


@dataclass(frozen=True)
class ContainerPart:
    """The bytes from `start` to `end`, which FFmpeg's `demuxer` reads as a file of their own."""

    start: int
    end: int
    demuxer: str


Part = MpegSection | ContainerPart


def find_parts(path: Path, audio_format: str) -> tuple[str, tuple[Part, ...]]:
    """Find what is to be decoded of a file that `sniff.audio_format` has seen; return its true format with it.

    Raises TruncatedAudioError naming what is missing, NotAudioError for an OGG file without sound, CorruptAudioError.
    """
    with open_binary(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if problem := completeness.problem_of(file, audio_format):
            raise cut_off(path, problem)
        start, end = id3_end(file), len(data)
        if audio_format == "MP3":
            sections = mpeg_sections(path, data, start, end)
            return sections[0].format, sections
        if audio_format == "OGG":
            return audio_format, bounded(path, ogg_parts(path, data))
        if audio_format == "WAV":
            wave = completeness.find_wave_data(file)
            if wave.format_tag in MPEG_IN_WAVE:
                return audio_format, mpeg_sections(path, data, wave.start, wave.end)
        return audio_format, (ContainerPart(start, end, DEMUXERS[audio_format]),)


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


def ogg_parts(path: Path, data: mmap.mmap) -> Iterator[ContainerPart]:
    """Every link of the chain, of which each holds sound."""
    try:
        for link in ogg.links(data):
            check_ogg_link(path, link)
            yield ContainerPart(link.start, link.end, DEMUXERS["OGG"])
    except ogg.OggDamageError as error:
        if error.offset is None:
            raise cut_off(path, "it ends inside an OGG page") from error
        raise TruncatedAudioError(
            f"{path.name} is damaged: its OGG page at byte {error.offset:,} is not whole.", CUT_HINT
        ) from error


def check_ogg_link(path: Path, link: ogg.OggLink) -> None:
    if not link.kinds:
        raise cut_off(path, "its beginning is missing")
    if ogg.VIDEO in link.kinds or not link.has_sound:
        raise not_a_song(path, ogg_description(link.kinds))


def bounded(path: Path, parts: Iterator[Part]) -> tuple[Part, ...]:
    """All parts; a file that is made of absurdly many is refused before they fill the memory."""
    found = []
    for part in parts:
        if len(found) == MAX_PARTS:
            raise CorruptAudioError(
                f"{path.name} consists of more than {MAX_PARTS:,} files behind each other.",
                "Export the song again as WAV, FLAC or MP3.",
            )
        found.append(part)
    return tuple(found)


def cut_off(path: Path, problem: str) -> TruncatedAudioError:
    return TruncatedAudioError(f"{path.name} is cut off: {problem}.", CUT_HINT)
