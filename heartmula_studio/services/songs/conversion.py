"""A finished song in another audio format."""

from pathlib import Path

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter
from heartmula_studio.codec.tags import read_tags

BLOCK_SEC = 10


def convert(source_path: Path, out_path: Path) -> None:
    """Write the same sound and the same tags in the format of another suffix."""
    source = AudioSource.find(source_path)
    rate_hz = source.find_rate_hz()
    with AudioWriter(out_path, rate_hz, read_tags(source_path)) as writer:
        for block in source.read_blocks(rate_hz, BLOCK_SEC * rate_hz):
            writer.write(block)
