"""The work of a training run: its steps, counted as the trainer counts them, and their FLOPs."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heartmula_studio.arch.checkpoints import BaseFolder, read_heartmula_config
from heartmula_studio.dataset.prompt import Prompt, PromptLayout
from heartmula_studio.dataset.windows import TrackInfo, Window, cut_to_fit, split_songs
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.text import clean_text
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.flops import PASSES, WindowSize, forward_flops
from heartmula_studio.finetune.data_plan import RunPlan
from heartmula_studio.finetune.examples import WindowDraws
from heartmula_studio.store.views import Problem


@dataclass(frozen=True)
class Work:
    """`step_flops` are those of a mean step, `evaluation_flops` those of all evaluations together."""

    steps: int
    step_flops: float
    evaluation_flops: float
    has_held_out: bool
    problems: tuple[Problem, ...]

    @property
    def flops(self) -> float:
        return self.steps * self.step_flops + self.evaluation_flops


def measure_work(songs: Sequence[TrackInfo], config: TrainConfig, base: BaseFolder, num_processes: int = 1) -> Work:
    """Plan the run as the trainer does. Songs that it would refuse are among the problems, and not counted.

    Raises as `read_heartmula_config` and `PromptLayout.load`.
    """
    network = read_heartmula_config(base.model)
    sizes, problems = window_sizes(tuple(songs), config.max_window_sec, config.trigger_word, base)
    names_learnt, names_held_out = split_songs([song.name for song in songs])
    learnt, held_out = (
        tuple(size for name in names for size in sizes[name]) for names in (names_learnt, names_held_out)
    )
    if config.draws_per_epoch:
        tracks = tuple(song for song in songs if song.name in names_learnt and sizes[song.name])
        learnt = drawn_sizes(tracks, WindowDraws.of(config), base)
    step_size = config.batch_size * config.gradient_accumulation_steps * num_processes
    plan = RunPlan(len(learnt), step_size, config.epochs, config.max_steps, config.seed)
    passes = PASSES[config.method] + config.gradient_checkpointing
    epoch_flops = passes * sum(forward_flops(network, size, config.depth_frame_fraction) for size in learnt)
    evaluations = 1 + plan.num_evaluations_after(0) if learnt else 0
    return Work(
        steps=plan.total_steps if learnt else 0,
        step_flops=epoch_flops / max(plan.steps_per_epoch, 1) / num_processes,
        evaluation_flops=evaluations * sum(forward_flops(network, size) for size in held_out) / num_processes,
        has_held_out=bool(held_out),
        problems=problems,
    )


@functools.cache  # large tokenizers take a second to load
def prompt_layout(base: BaseFolder, num_codebooks: int) -> PromptLayout:
    return PromptLayout.load(base, num_codebooks)


# Most of what a form asks about, field by field, is the same songs with other settings, which change no window.
@functools.lru_cache(maxsize=16)
def window_sizes(
    songs: tuple[TrackInfo, ...], max_window_sec: float, trigger_word: str, base: BaseFolder
) -> tuple[Mapping[str, tuple[WindowSize, ...]], tuple[Problem, ...]]:
    """The windows of each song, and what is wrong with those that have none."""
    network = read_heartmula_config(base.model)
    layout = prompt_layout(base, network.audio_num_codebooks).with_trigger_words(trigger_word)
    sizes: dict[str, tuple[WindowSize, ...]] = {}
    problems = []
    for song in songs:
        try:
            cut = cut_to_fit(song, max_window_sec, layout, network.backbone_flavor.max_seq_len)
        except InvalidInputError as error:
            cut = []
            problems.append(Problem(error.message, error.hint))
        sizes[song.name] = tuple(window_size(window, prompt) for window, prompt in cut)
    return sizes, tuple(problems)


@functools.lru_cache(maxsize=16)
def drawn_sizes(tracks: tuple[TrackInfo, ...], draws: WindowDraws, base: BaseFolder) -> tuple[WindowSize, ...]:
    """The windows that the first epoch draws from tracks that can be learnt; those of the base's songs are alike."""
    network = read_heartmula_config(base.model)
    layout, max_positions = prompt_layout(base, network.audio_num_codebooks), network.backbone_flavor.max_seq_len
    sources = draws.sources(len(tracks), num_prior=len(tracks))
    drawn = (
        draws.window(tracks[source % len(tracks)], example, 0, layout, max_positions)
        for example, source in enumerate(sources)
    )
    return tuple(window_size(window, prompt) for window, prompt in drawn)


def window_size(window: Window, prompt: Prompt) -> WindowSize:
    return WindowSize(prompt.num_positions(window.num_frames), window.num_frames + window.ends_song)


def track_info(name: str, tags: Sequence[str], lyrics: str, num_frames: int) -> TrackInfo:
    return TrackInfo(name, 0, ",".join(tags), clean_text(lyrics), num_frames)
