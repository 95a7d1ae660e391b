"""Loudness as ITU-R BS.1770-4 defines it, measured by FFmpeg's filter `ebur128`, and sound brought to a chosen one."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from heartmula_studio.codec.audibility import LevelMeter
from heartmula_studio.files.disk import disk_explained

MAX_TRUE_PEAK_DB = -1.0  # relative to full scale, as EBU R 128 has it: MP3 and Opus come out a little louder
GATE_LUFS = -70.0  # what the filter says of sound that is all below its gate
BLOCK_SAMPLES = 1 << 18
_PEAK_STEP = 0.001  # in which the filter tells a peak, full scale being 1
_PREFIX = "lavfi.r128."


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness, None where all is below the gate or shorter than 0.4 s, and true peak (full scale is 1)."""

    lufs: float | None
    true_peak: float

    def gain_db(self, wanted_lufs: float) -> float:
        """Return what brings the sound to a loudness, or as near as its peak stays below -1 dB."""
        if self.lufs is None:
            return 0.0
        return min(wanted_lufs - self.lufs, MAX_TRUE_PEAK_DB - 20 * math.log10(self.true_peak))


class LoudnessMeter:
    """Measures stereo sound that comes in pieces."""

    def __init__(self, sample_rate_hz: int):
        self._rate_hz, self._samples, self._peak = sample_rate_hz, 0, 0.0
        self._told: dict[str, str] = {}
        self._graph = av.filter.Graph()
        time_base = Fraction(1, sample_rate_hz)
        source = self._graph.add_abuffer(
            format="fltp", layout="stereo", sample_rate=sample_rate_hz, time_base=time_base
        )
        meter, sink = (self._graph.add(*node) for node in (("ebur128", "peak=true:metadata=1"), ("abuffersink",)))
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()

    def add(self, samples: Tensor) -> None:
        """samples: [2, n], full scale is 1."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.numpy()), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, Fraction(1, self._rate_hz), self._samples
        self._samples += samples.shape[1]
        self._peak = max(self._peak, samples.abs().max().item())  # the filter leaves out the last tenth of a second
        self._graph.push(frame)
        self._drain()

    def finish(self) -> Loudness:
        """Return the loudness of all of it; nothing can be added any more."""
        self._graph.push(None)
        self._drain()
        lufs = float(self._told.get(f"{_PREFIX}I", GATE_LUFS))
        true_peak = float(self._told.get(f"{_PREFIX}true_peak", 0.0)) + _PEAK_STEP
        return Loudness(None if lufs <= GATE_LUFS else lufs, max(true_peak, self._peak))

    def _drain(self) -> None:
        """Take what the filter has ready; each whole tenth of a second tells of all before it."""
        while True:
            try:
                self._told = dict(self._graph.pull().metadata) or self._told
            except (av.BlockingIOError, av.EOFError):
                return


class Leveller:
    """Brings sound to a loudness, once all of it is there; it lies in a file of the folder meanwhile.

    `gain_db` is what was added, and `lufs` what it then measures, None where that cannot be said. What nobody can hear
    stays as it is.
    """

    def __init__(self, wanted_lufs: float, sample_rate_hz: int, folder: Path):
        self._wanted_lufs, self._rate_hz, self._folder = wanted_lufs, sample_rate_hz, folder
        self.gain_db = 0.0
        self.lufs: float | None = None

    def level(self, sound: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield stretches [2, n] at the loudness. Raises StorageError, and what `sound` does."""
        with disk_explained(self._folder), tempfile.TemporaryFile(dir=self._folder) as kept:
            meter, level = LoudnessMeter(self._rate_hz), LevelMeter()
            for stretch in sound:
                meter.add(stretch)
                level.add(stretch)
                kept.write(stretch.T.contiguous().numpy().tobytes())
            loudness = meter.finish()
            if level.is_audible and loudness.lufs is not None:
                self.gain_db = loudness.gain_db(self._wanted_lufs)
                self.lufs = loudness.lufs + self.gain_db
            kept.seek(0)
            factor = 10 ** (self.gain_db / 20)
            while block := kept.read(BLOCK_SAMPLES * 8):
                yield factor * torch.from_numpy(np.frombuffer(block, np.float32).reshape(-1, 2).T.copy())
