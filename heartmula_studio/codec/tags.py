"""Text tags inside audio files: ID3 in MP3 and WAV, Vorbis comments in FLAC and OGG, and INFO in WAV as well.

ID3v2.4: https://id3.org/id3v2.4.0-frames. INFO: IBM and Microsoft, Multimedia Programming Interface and Data
Specifications 1.0 (1991), chapter 2.
"""

from collections.abc import Mapping
from pathlib import Path

import mutagen
import soundfile
from mutagen.id3 import COMM, ID3, TALB, TCON, TDRC, TIT2, TPE1, TXXX, USLT, Encoding, Frame, TextFrame

ID3_FRAMES: dict[str, type[TextFrame]] = {
    "title": TIT2,
    "artist": TPE1,
    "album": TALB,
    "genre": TCON,
    "date": TDRC,
}
ID3_LONG_TEXTS: dict[str, type[COMM] | type[USLT]] = {"comment": COMM, "lyrics": USLT}  # in a language
ENGLISH, ANY_LANGUAGE = "eng", "xxx"
PICTURE = "metadata_block_picture"  # an image as text, in Vorbis comments
IN_WAV_INFO = ("title", "artist", "album", "genre", "date", "comment")


def write_info(file: soundfile.SoundFile, tags: Mapping[str, str]) -> None:
    """Put those tags that INFO has into a WAV file that is being written: many players read nothing else in one."""
    if file.format == "WAV":
        for name in IN_WAV_INFO:
            if name in tags:
                setattr(file, name, tags[name])


def write_tags(path: Path, tags: Mapping[str, str]) -> None:
    """Add tags to a WAV, FLAC, MP3 or Opus file, in place. Names that a format has no place for are kept too."""
    if not tags:
        return
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for name, text in tags.items():
        if isinstance(file.tags, ID3):
            file.tags.add(id3_frame(name, text))
        else:
            file.tags[name] = text
    file.save()


def read_tags(path: str | Path) -> dict[str, str]:
    """All text tags by lower-case name; empty where the file has none, or is of a kind without tags."""
    file = mutagen.File(path)
    if file is None or file.tags is None:
        return {}
    if isinstance(file.tags, ID3):
        return read_id3(file.tags)
    texts = {name.lower(): "\n".join(values) for name, values in file.tags.items()}
    return {name: text for name, text in texts.items() if name != PICTURE}


def id3_frame(name: str, text: str) -> Frame:
    if name in ID3_LONG_TEXTS:
        language = ENGLISH if name == "comment" else ANY_LANGUAGE
        return ID3_LONG_TEXTS[name](encoding=Encoding.UTF8, lang=language, desc="", text=text)
    if name in ID3_FRAMES:
        return ID3_FRAMES[name](encoding=Encoding.UTF8, text=text)
    return TXXX(encoding=Encoding.UTF8, desc=name, text=text)


def read_id3(tags: ID3) -> dict[str, str]:
    found = {frame.desc.lower(): str(frame) for frame in tags.getall("TXXX")}
    found |= {name: str(tags[kind.__name__]) for name, kind in ID3_FRAMES.items() if kind.__name__ in tags}
    long_texts = {name: tags.getall(kind.__name__) for name, kind in ID3_LONG_TEXTS.items()}
    return found | {name: str(frames[0]) for name, frames in long_texts.items() if frames}
