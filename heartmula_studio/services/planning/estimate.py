"""Estimates of a training run's time, memory and disk, before it is started.

    seconds = start + audio to tokenize x its FLOPs a second / speed + FLOPs of training and evaluation / speed
              + songs to listen to along the way x seconds of one

`speed` is measured, see `throughput`; the FLOPs are counted, see `work`. An estimate is right within a factor of two
before a first job has shown how fast the device is, and better afterwards.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate.commands.config.config_args import load_config_from_file

from heartmula_studio.arch.checkpoints import encoder_tensors, read_heartmula_config, weight_files
from heartmula_studio.arch.frames import FRAME_RATE_HZ, LATENTS_PER_FRAME, frames_of
from heartmula_studio.arch.official import MODEL_REPO
from heartmula_studio.arch.stored_weights import num_parameters
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.tokenizing import current_tokens, missing_versions
from heartmula_studio.dataset.windows import split_songs
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.agreement import require_one_process
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.activations import FLOAT_BYTES
from heartmula_studio.finetune.costs.memory import (
    state_bytes,
    tensor_shapes,
    trained_parameters,
    training_bytes,
)
from heartmula_studio.finetune.dtypes import DTYPES
from heartmula_studio.finetune.previews import num_base_songs
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import total_bytes
from heartmula_studio.services.planning.remedies import shortages
from heartmula_studio.services.planning.throughput import as_track, preview_song_sec, training_speed
from heartmula_studio.services.planning.work import Work, measure_work
from heartmula_studio.services.training.job_folder import JobTrack
from heartmula_studio.services.training.preprocess import source_of
from heartmula_studio.services.training.snapshot import require_enough, song_source
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Estimate, Problem

START_SEC = 12.0  # two programs load their libraries
LOAD_BYTES_PER_SEC = 500e6
CODE_BYTES = 2
READ_SEC_PER_SEC = 0.02  # to decode, check and resample a second of audio


@dataclass(frozen=True)
class Encoding:
    """The frames of each song, known or foreseen; how much audio is still to be encoded, and what its codes take."""

    frames: dict[str, int]
    audio_sec: float
    code_bytes: int


class Estimator:
    """Any thread may call any method."""

    def __init__(self, store: Store, runtime: Runtime, accelerate_config: Path | None):
        self._store, self._runtime, self._accelerate_config = store, runtime, accelerate_config

    def estimate(self, dataset: Dataset, config: TrainConfig) -> Estimate:
        """Say what training on a dataset, as it is now, would take. Raises AudioMissingError, CheckpointError."""
        problems = problems_with(dataset, config, num_processes(self._accelerate_config))
        sources = [song_source(self._store, dataset, file) for file in dataset.audio_files]
        found = self.estimate_of(sources, config)
        return replace(found, problems=(*problems, *found.problems))

    def estimate_of(self, sources: Sequence[JobTrack], config: TrainConfig) -> Estimate:
        """Say what training on these tracks would take. Raises CheckpointError."""
        base, device = self._runtime.base, str(self._runtime.device)
        processes = num_processes(self._accelerate_config)
        encoding = self._encoding(sources, config)
        songs = [as_track(song, encoding.frames[song.filename]) for song in sources]
        work = measure_work(songs, config, base, processes)
        speed = training_speed(self._store, config, base, device, work.step_flops, processes)
        longest_sec = max((song.duration_sec for song in sources), default=0.0)
        estimate = Estimate(
            steps=work.steps,
            seconds=self._start_sec()
            + self._tokenizing_sec(encoding.audio_sec, speed)
            + work.flops / speed
            + self._preview_sec(config, work.steps),
            checkpoint_bytes=self._checkpoint_bytes(config),
            disk_bytes=self._disk_bytes(config, work) + encoding.code_bytes,
            free_disk_bytes=shutil.disk_usage(self._store.root).free,
            memory_bytes=training_bytes(config, base, longest_sec, device),
            device_memory_bytes=total_bytes(device),
            device=device,
            problems=work.problems,
        )
        return replace(estimate, problems=(*estimate.problems, *shortages(estimate, config, base, longest_sec)))

    def _encoding(self, songs: Sequence[JobTrack], config: TrainConfig) -> "Encoding":
        """What of songs, and of their versions where they are learnt from, is still to be encoded."""
        codec_id, sources = stored_codebook_id(self._runtime.base.codec), [source_of(song) for song in songs]
        learnt, _ = split_songs([source.name for source in sources])
        frames, audio_sec = {}, 0.0
        for song, source in zip(songs, sources, strict=True):
            tokens = current_tokens(source, codec_id)
            frames[song.filename] = tokens.codes.shape[1] if tokens else frames_of(song.duration_sec)
            versions = missing_versions(tokens, config.num_versions) if source.name in learnt else ()
            audio_sec += song.duration_sec * ((tokens is None) + len(versions))
        num_codebooks = read_heartmula_config(self._runtime.base.model).audio_num_codebooks
        return Encoding(frames, audio_sec, round(audio_sec * FRAME_RATE_HZ) * num_codebooks * CODE_BYTES)

    def _start_sec(self) -> float:
        return START_SEC + weights_bytes(self._runtime.base.model) / LOAD_BYTES_PER_SEC

    def _tokenizing_sec(self, audio_sec: float, speed: float) -> float:
        encoder = self._runtime.base.encoder
        weights = num_parameters(encoder_tensors(encoder)) if encoder else 0
        flops_per_sec = 2 * weights * FRAME_RATE_HZ * LATENTS_PER_FRAME
        return audio_sec * (READ_SEC_PER_SEC + flops_per_sec / speed)

    def _preview_sec(self, config: TrainConfig, steps: int) -> float:
        """Of songs to listen to: each rung's, and more of the base."""
        rungs = len(config.rung_steps(steps)) if config.preview_songs else 0
        songs = config.preview_songs * rungs + num_base_songs(config.preview_songs) if rungs else 0
        return songs * preview_song_sec(self._store, config, str(self._runtime.device)) if songs else 0.0

    def _checkpoint_bytes(self, config: TrainConfig) -> int:
        width = FLOAT_BYTES if config.method == "lora" else DTYPES[config.checkpoint_dtype].itemsize
        return trained_parameters(tensor_shapes(self._runtime.base.model), config) * width

    def _disk_bytes(self, config: TrainConfig, work: Work) -> int:
        """The best and the last checkpoint, those to listen to, and two states while one replaces the other."""
        state = state_bytes(tensor_shapes(self._runtime.base.model), config)
        checkpoint = self._checkpoint_bytes(config)
        rungs = len(config.rung_steps(work.steps)) * checkpoint
        return (1 + work.has_held_out) * checkpoint + min(rungs, config.ladder_max_bytes) + 2 * state


def problems_with(dataset: Dataset, config: TrainConfig, processes: int) -> list[Problem]:
    """List the reasons to refuse a job, and songs that could not be tokenized."""
    found = [
        Problem(f"{song.filename}: {song.error}", "Remove it from the dataset, or replace it.")
        for song in dataset.audio_files
        if song.error
    ]
    checks: tuple[Callable[[], None], ...] = (
        lambda: require_one_process(config, processes),
        lambda: require_enough(dataset),
    )
    for require in checks:
        try:
            require()
        except InvalidInputError as error:
            found.insert(0, Problem(error.message, error.hint))
    return found


def num_processes(accelerate_config: Path | None) -> int:
    """Count the processes of a run. Raises InvalidInputError for a configuration that Accelerate does not take."""
    if accelerate_config is None:
        return 1
    try:
        count: int = load_config_from_file(str(accelerate_config)).num_processes
        return count
    except Exception as error:  # the library raises whatever it trips over
        raise InvalidInputError(
            f"{accelerate_config} is not a configuration of Accelerate: {error}", "Make one with `accelerate config`."
        ) from error


def weights_bytes(model: Path) -> int:
    return sum(path.stat().st_size for path in weight_files(model, MODEL_REPO))
