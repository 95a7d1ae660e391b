"""Presets of a training from a shell: Fast, Balanced and Thorough, counted in steps as on the page."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.dataset.tokenizing import TokenizingTask
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.flat_settings import with_settings
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.planning.estimate import Estimator
from heartmula_studio.services.planning.presets import presets_of
from heartmula_studio.services.planning.service import OF_A_PRESET
from heartmula_studio.services.training.job_folder import JobTrack
from heartmula_studio.settings import Settings
from heartmula_studio.store.store import Store


def with_preset(
    config: TrainConfig, arguments: Namespace, songs: Sequence[TokenizingTask], runtime: Runtime
) -> TrainConfig:
    """Return a config with epochs and rank of the preset that was asked for; options beside it count more.

    Raises InvalidInputError where there is nothing to train on.
    """
    settings = Settings.load()
    estimator = Estimator(Store(settings.data_dir), runtime, None)
    tracks = [job_track(song) for song in songs]
    found = presets_of(config, runtime.training_record, lambda config: estimator.estimate_of(tracks, config))
    preset = next((preset for preset in found if preset.name.lower() == arguments.preset), None)
    if preset is None:
        raise InvalidInputError("The songs leave nothing to train on.", "Give longer songs, or leave out --preset.")
    print(f"{preset.name}: {preset.steps:,} steps, about {max(1, round(preset.seconds / 60))} min")
    given = {name: value for name in OF_A_PRESET if (value := getattr(arguments, name)) is not None}
    return with_settings(replace(config, max_steps=None), preset.settings | given)


def job_track(song: TokenizingTask) -> JobTrack:
    return JobTrack(
        filename=song.audio.name,
        audio=str(song.audio),
        tokens=str(song.tokens),
        sha256=song.sha256,
        lyrics=song.lyrics,
        tags=tuple(split_tags(song.tags)),
        rights="unknown",
        duration_sec=Tokens.load(song.tokens).codes.shape[1] / FRAME_RATE_HZ,
    )
