"""A finished song in another audio format, or under another title."""

import shutil
from pathlib import Path

import mutagen
import soundfile

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter
from heartmula_studio.codec.tags import read_tags, write_info, write_tags
from heartmula_studio.errors import CorruptAudioError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained

BLOCK_SEC = 10


def convert(source_path: Path, out_path: Path) -> None:
    """Write the same sound and the same tags in the format of another suffix."""
    source = AudioSource.find(source_path)
    rate_hz = source.find_rate_hz()
    with AudioWriter(out_path, rate_hz, read_tags(source_path)) as writer:
        for block in source.read_blocks(rate_hz, BLOCK_SEC * rate_hz):
            writer.write(block)


def retitle(path: Path, title: str) -> None:
    """Give a song's file another title; its sound stays as it is, bit for bit.

    Raises AudioError for a file that is damaged or cut off, StorageError.
    """
    AudioSource.find(path)
    try:
        with disk_explained(path), replaced_file(path) as temporary:
            if path.suffix == ".wav":  # its INFO can be written only while the samples are
                _copy_wave(path, temporary, read_tags(path) | {"title": title})
            else:
                shutil.copyfile(path, temporary)
                write_tags(temporary, {"title": title})
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
