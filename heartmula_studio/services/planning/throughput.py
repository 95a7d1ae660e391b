"""The training speed of a device: that of an earlier job on it, else a share of a matrix product's."""

import functools
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.dataset.windows import TrackInfo
from heartmula_studio.device_name import device_key, device_kind
from heartmula_studio.errors import StudioError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.dtypes import BASE_DTYPES
from heartmula_studio.finetune.events import FiguresEvent, StepEvent, read_backwards
from heartmula_studio.services.planning.work import measure_work, track_info
from heartmula_studio.services.training.job_folder import JobFolder, JobTrack
from heartmula_studio.store.records import Job
from heartmula_studio.store.store import Store

SHARE = 0.35  # of a matrix product's speed that training reached: 0.3 to 0.4 with nano on one and two cores
SAME_SPEED = ("base_model", "method", "mixed_precision", "base_dtype")
LATEST_JOBS, LATEST_STEPS = 5, 32
PREVIEW_SONG_SEC = 4.0  # of nano on two cores
SIDES = {"cpu": 1024, "cuda": 4096}  # of the matrices that are multiplied
REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """FLOPs and time of a job's steps."""

    step_flops: float
    step_sec: float

    @property
    def speed(self) -> float:
        return self.step_flops / self.step_sec

    def distance(self, step_flops: float) -> float:
        """Return how unlike steps of another size are."""
        return abs(math.log(self.step_flops / step_flops))


def training_speed(
    store: Store, config: TrainConfig, base: BaseFolder, device: str, step_flops: float, num_processes: int
) -> float:
    """Return the FLOPs a second of each process in steps of a size."""
    alike = [job for job in store.jobs.list() if is_alike(job, config, device)]
    measured = (measure(store, job, base, num_processes) for job in reversed(alike))
    latest = list(islice(filter(None, measured), LATEST_JOBS))
    if latest and step_flops:
        return min(latest, key=lambda job: job.distance(step_flops)).speed
    return SHARE * matmul_speed(device, precision(config))


def preview_song_sec(store: Store, config: TrainConfig, device: str) -> float:
    """Return what rendering and judging one song of a rung takes: as in the latest job like this one, else a guess."""
    for job in reversed(store.jobs.list()):
        songs = int(job.config.get("preview_songs") or 0)
        if not songs or not is_alike(job, config, device):
            continue
        events = read_backwards(JobFolder(store.jobs.folder(job.id)).metrics)
        found = next((e.seconds for e in events if isinstance(e, FiguresEvent) and e.step), None)
        if found is not None:
            return found / songs
    return PREVIEW_SONG_SEC


def is_alike(job: Job, config: TrainConfig, device: str) -> bool:
    """Tell whether a job's speed says something about that of another one."""
    settings = config.to_dict()
    same = all(job.config.get(name) == settings[name] for name in SAME_SPEED)
    return same and job.processes == 1 and device_key(job.device) == device_key(device)


def measure(store: Store, job: Job, base: BaseFolder, num_processes: int) -> Measured | None:
    """Measure the last steps of a job; None where it has taken none, or its folder is damaged."""
    try:
        folder = JobFolder(store.jobs.folder(job.id))
        seconds = [step.step_sec for step in islice(steps_backwards(folder.metrics), LATEST_STEPS)]
        if not seconds:
            return None
        songs = [as_track(song, frames_of(song.duration_sec)) for song in folder.read_songs().songs]
        if not songs:  # of a catalogue, which is not read for this
            return None
        work = measure_work(songs, TrainConfig.from_dict(job.config), base, num_processes)
    except (StudioError, OSError):
        return None
    return Measured(work.step_flops, statistics.median(seconds)) if work.step_flops else None


def steps_backwards(metrics: Path) -> Iterator[StepEvent]:
    return (event for event in read_backwards(metrics) if isinstance(event, StepEvent))


def as_track(song: JobTrack, num_frames: int) -> TrackInfo:
    """Return a song as the trainer will cut it, named as its tokens are."""
    return track_info(Path(song.tokens).stem, song.tags, song.lyrics, num_frames)


def precision(config: TrainConfig) -> torch.dtype:
    """Return the dtype of most matrix products."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.mixed_precision, BASE_DTYPES[config.base_dtype])


@functools.cache
def matmul_speed(device: str, dtype: torch.dtype) -> float:
    """Return the FLOPs a second of one matrix product, timed once."""
    side = SIDES.get(device_kind(device), SIDES["cpu"])
    # Of random numbers: a GPU multiplies equal ones faster.
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / min(product_sec(matrix) for _ in range(1 + REPEATS))


def product_sec(matrix: torch.Tensor) -> float:
    started = time.perf_counter()
    product = matrix @ matrix
    product[0, 0].item()  # waits for the device
    return time.perf_counter() - started
