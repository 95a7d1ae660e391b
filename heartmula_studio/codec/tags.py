"""Text tags inside audio files: ID3 in MP3 and WAV, Vorbis comments in FLAC and OGG."""

from collections.abc import Mapping
from pathlib import Path

import mutagen
from mutagen.id3 import COMM, ID3, TALB, TIT2, TPE1, TXXX, Encoding, Frame, TextFrame

ID3_FRAMES: dict[str, type[TextFrame]] = {"title": TIT2, "artist": TPE1, "album": TALB}
ID3_COMMENT = "COMM::eng"


def write_tags(path: Path, tags: Mapping[str, str]) -> None:
    """Add tags to a WAV, FLAC or MP3 file, in place. Other names than title, artist, album and comment are kept too."""
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
    return {name.lower(): "\n".join(values) for name, values in file.tags.items()}


def id3_frame(name: str, text: str) -> Frame:
    if name == "comment":
        return COMM(encoding=Encoding.UTF8, lang="eng", desc="", text=text)
    if name in ID3_FRAMES:
        return ID3_FRAMES[name](encoding=Encoding.UTF8, text=text)
    return TXXX(encoding=Encoding.UTF8, desc=name, text=text)


def read_id3(tags: ID3) -> dict[str, str]:
    found = {frame.desc.lower(): str(frame) for frame in tags.getall("TXXX")}
    found |= {name: str(tags[kind.__name__]) for name, kind in ID3_FRAMES.items() if kind.__name__ in tags}
    return found | ({"comment": str(tags[ID3_COMMENT])} if ID3_COMMENT in tags else {})
