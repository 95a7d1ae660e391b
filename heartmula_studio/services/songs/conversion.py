"""A finished song in another audio format, under another title, with another cover."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mutagen
import soundfile

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter
from heartmula_studio.codec.cover import Cover, read_cover, write_cover
from heartmula_studio.codec.tags import read_tags, write_info, write_tags
from heartmula_studio.errors import CorruptAudioError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained

BLOCK_SEC = 10


def convert(source_path: Path, out_path: Path) -> None:
    """Write the same sound, tags and cover in the format of another suffix."""
    source = AudioSource.find(source_path)
    rate_hz = source.find_rate_hz()
    with AudioWriter(out_path, rate_hz, read_tags(source_path), read_cover(source_path)) as writer:
        for block in source.read_blocks(rate_hz, BLOCK_SEC * rate_hz):
            writer.write(block)


def retitle(path: Path, title: str) -> None:
    """Give a song's file another title; its sound stays as it is, bit for bit.

    Raises AudioError for a file that is damaged or cut off, StorageError.
    """
    with _changed_copy(path) as temporary:
        if path.suffix == ".wav":  # its INFO can be written only while the samples are
            _copy_wave(path, temporary, read_tags(path) | {"title": title})
            write_cover(temporary, read_cover(path))
        else:
            shutil.copyfile(path, temporary)
            write_tags(temporary, {"title": title})


def change_cover(path: Path, cover: Cover | None) -> None:
    """Give a song's file another cover, or none; sound and tags stay as they are. Raises as `retitle`."""
    with _changed_copy(path) as temporary:
        shutil.copyfile(path, temporary)
        write_cover(temporary, cover)


@contextmanager
def _changed_copy(path: Path) -> Iterator[Path]:
    """Yield where to write what takes the place of an audio file, once it is whole. Raises as `retitle`."""
    AudioSource.find(path)
    try:
        with disk_explained(path), replaced_file(path) as temporary:
            yield temporary
    except (soundfile.SoundFileError, mutagen.MutagenError) as error:
        raise CorruptAudioError(f"{path.name} is damaged: {error}.", "Make the song again.") from error


def _copy_wave(path: Path, copy: Path, tags: dict[str, str]) -> None:
    with soundfile.SoundFile(path) as source:
        kind = {"channels": source.channels, "format": source.format, "subtype": source.subtype}
        with soundfile.SoundFile(copy, "w", source.samplerate, **kind) as target:
            for block in source.blocks(BLOCK_SEC * source.samplerate, dtype="int32"):
                target.write(block)
            write_info(target, tags)
    write_tags(copy, tags)
