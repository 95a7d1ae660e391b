"""The demo: from a few songs to a tuned song, with the evidence that something was learnt."""

import json
import shutil
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path

from heartmula_studio.cli.audible import effect_on, in_words, songs_before
from heartmula_studio.cli.progress import make_song, training_progress
from heartmula_studio.cli.report import LossChange, plot_losses, results_table
from heartmula_studio.cli.songs import SongFile, find_songs, write_dataset
from heartmula_studio.dataset.clips import Clips, bundled_clips
from heartmula_studio.errors import CancelledError, InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import ExampleSet, load_examples
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.settings import Settings

MIN_SONGS = 5
WINDOW_SEC = 24.0
LEARNT = "songs it learnt from"


@dataclass(frozen=True)
class SongSet:
    """Songs of one style and the words for it."""

    songs: list[SongFile]
    tags: str


def demo(arguments: Namespace) -> int:
    """Tokenize, train, and make the same song without and with the style; everything lands in `--out`.

    Raises InvalidInputError if that folder holds files or there are fewer than five songs; CancelledError when
    stopped; and whatever the steps raise.
    """
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInputError(f"{out} is not an empty folder.", "Give a new one.")
    style, runtime = chosen_style(arguments), Runtime.of(Settings.load(), arguments.base, arguments.device)
    request = SongRequest(tags=style.tags, duration_sec=arguments.seconds, seed=arguments.seed)
    job, config = out / "job", demo_config(runtime, arguments.steps)
    codec = runtime.load_codec()
    for name, songs, versions in (
        ("dataset", style, config.num_versions),
        ("other", song_set(bundled_clips("other")), 1),
    ):
        write_dataset(songs.songs, songs.tags, codec, runtime.limits, out / "tokens" / name, job / name, versions)
    engine = Engine.load(runtime.base_name, str(runtime.device))
    sets = example_sets(engine, job)
    before, songs_before_it = losses(engine, sets), songs_before(engine, style.tags)
    make_song(engine, request, out / "before.wav")
    notes = learn(job, config, out / "adapter", runtime)
    engine.activate(out / "adapter")
    after = losses(engine, sets)
    make_song(engine, request, out / "after.wav")
    effect = effect_on(engine, style.tags, songs_before_it, sets[LEARNT].codes)
    plot_losses(RunFolder(job).metrics, out / "loss.png")
    comparisons = [LossChange(name, before[name], after[name]) for name in before]
    write_results(out, comparisons, (*notes, in_words(effect)))
    return 0


def chosen_style(arguments: Namespace) -> SongSet:
    if arguments.songs:
        return SongSet(find_songs(arguments.songs, MIN_SONGS), arguments.tags or "")
    clips = song_set(bundled_clips("style"))
    return clips if arguments.tags is None else SongSet(clips.songs, arguments.tags)


def song_set(clips: Clips) -> SongSet:
    """Clips as songs without words, which they are."""
    return SongSet([SongFile(path) for path in clips.paths], clips.tags)


def demo_config(runtime: Runtime, steps: int | None) -> TrainConfig:
    """The defaults, or as many steps as are asked for."""
    return runtime.train_config("lora", {"epochs": steps, "max_steps": steps})


def example_sets(engine: Engine, job: Path) -> dict[str, ExampleSet]:
    """What is listened to before and after: the held-out songs (if any), those learnt from, and the other style."""
    network = engine.model.config
    learnt, held_out = load_examples(job / "dataset", engine.base, network, WINDOW_SEC)
    other, _ = load_examples(job / "other", engine.base, network, WINDOW_SEC)
    sets = {"held-out song": held_out, LEARNT: learnt, "another style": other}
    return {name: examples for name, examples in sets.items() if len(examples)}


def losses(engine: Engine, sets: dict[str, ExampleSet]) -> dict[str, float]:
    """Mean cross-entropy in nats over all codebooks, by set."""
    codebooks = engine.model.config.audio_num_codebooks
    return {name: mean_loss(engine.model, examples, 1, codebooks).mean for name, examples in sets.items()}


def learn(job: Path, config: TrainConfig, adapter: Path, runtime: Runtime) -> tuple[str, ...]:
    """Train in `job` and copy the last checkpoint to `adapter`; return what the trainer has to say."""
    config.save(RunFolder(job).config)
    with training_progress() as on_step:
        result = train(job, on_step, runtime.device.type)
    if result.status == "stopped":
        raise CancelledError(f"Stopped after step {result.step}.", f"What was learnt is in {result.checkpoint}.")
    shutil.copytree(RunFolder(job).checkpoint("last"), adapter)
    return result.notes


def write_results(out: Path, changes: list[LossChange], notes: tuple[str, ...]) -> None:
    table = "\n".join([results_table(changes), *(f"\n{note}" for note in notes)])
    (out / "results.md").write_text(table + "\n", encoding="utf-8")
    results = [{**asdict(change), "change": change.change} for change in changes]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table}\n\nListen to {out / 'before.wav'} and {out / 'after.wav'}; the curve is {out / 'loss.png'}.")
