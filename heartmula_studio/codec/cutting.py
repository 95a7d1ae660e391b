"""Cutting a recording into several, to the sample: an album in one file becomes its songs."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter


def cut_recording(path: Path, starts_sec: Sequence[float], folder: Path) -> Iterator[Path]:
    """Yield a FLAC file for each start, up to the next one or the end; each is gone when the next is asked for.

    What lies before the first start is left out, and a start behind the end gives no file. Raises a subclass of
    AudioError, StorageError.
    """
    source = AudioSource.find(path)
    rate_hz = source.find_rate_hz()
    edges = [round(start_sec * rate_hz) for start_sec in starts_sec]
    piece = folder / "piece.flac"
    for blocks in stretches(source.read_blocks(rate_hz, rate_hz), edges):
        first = next(blocks, None)
        if first is None:
            return
        with AudioWriter(piece, rate_hz) as writer:
            writer.write(first)
            for block in blocks:
                writer.write(block)
        yield piece
        piece.unlink()


def stretches(blocks: Iterator[Tensor], edges: Sequence[int]) -> Iterator[Iterator[Tensor]]:
    """Yield the samples [2, n] from each edge to the next, and from the last on, piece by piece, to be read in turn."""
    cursor = _Cursor(blocks)
    for _ in cursor.take(edges[0]):
        pass
    for start, end in pairwise(edges):
        yield cursor.take(end - start)
    yield cursor.take(None)


class _Cursor:
    """Reads blocks in stretches of any length."""

    def __init__(self, blocks: Iterator[Tensor]):
        self._blocks = blocks
        self._rest: Tensor | None = None

    def take(self, num_samples: int | None) -> Iterator[Tensor]:
        """Yield the next samples; None: all that are left."""
        while num_samples is None or num_samples > 0:
            block = self._rest if self._rest is not None else next(self._blocks, None)
            if block is None:
                return
            self._rest = None
            if num_samples is not None:
                if block.shape[1] > num_samples:
                    block, self._rest = block[:, :num_samples], block[:, num_samples:]
                num_samples -= block.shape[1]
            yield block
