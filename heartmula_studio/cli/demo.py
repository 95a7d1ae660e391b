"""The demo: from a few songs to a tuned song, with the evidence that something was learnt."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from heartmula_studio.arch.checkpoints import ASSETS, BUNDLED_BASE, find_base
from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.cli.report import Comparison, plot_losses, results_table
from heartmula_studio.cli.songs import SongFile, build_dataset, find_songs
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import ExampleSet, load_examples
from heartmula_studio.finetune.job import train
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

MIN_SONGS = 5
WINDOW_SEC = 24.0
CLIPS = ASSETS / "clips"


@dataclass(frozen=True)
class SongSet:
    """Songs of one style and the words for it."""

    songs: list[SongFile]
    tags: str


def bundled_clips(kind: str) -> SongSet:
    """The clips that come along: `style` to learn from, `other` to compare with."""
    entry = json.loads((CLIPS / "clips.json").read_text(encoding="utf-8"))[kind]
    return SongSet([SongFile(CLIPS / name, "") for name in entry["files"]], entry["tags"])


def run_demo(
    out: Path,
    songs_folder: Path | None,
    tags: str | None,
    steps: int,
    seconds: float,
    seed: int,
    base_name: str,
    device: str,
) -> None:
    """Tokenise, train, and make the same song without and with the style; everything lands in `out`.

    Raises InvalidInputError if `out` holds files or there are fewer than five songs; and whatever the steps raise.
    """
    if out.exists() and any(out.iterdir()):
        raise InvalidInputError(f"{out} is not empty.", "Give a new folder.")
    style, other = bundled_clips("style"), bundled_clips("other")
    if songs_folder:
        style = SongSet(find_songs(songs_folder, MIN_SONGS), tags or "")
    elif tags is not None:
        style = SongSet(style.songs, tags)
    job, base = out / "job", find_base(base_name)
    for name, song_set in (("dataset", style), ("other", other)):
        dataset = build_dataset(song_set.songs, song_set.tags, base, device, out / "tokens" / name)
        dataset.save_to_disk(job / name)
    engine = Engine.load(base_name, device)
    request = SongRequest(tags=style.tags, max_sec=seconds, seed=seed)
    listen = Listening(engine, job)
    before = listen.losses()
    make_song(engine, request, out / "before.wav")
    checkpoint = learn(job, base_name, steps)
    shutil.copytree(checkpoint, out / "adapter")
    engine.activate(out / "adapter")
    comparisons = [Comparison(name, before[name], loss) for name, loss in listen.losses().items()]
    make_song(engine, request, out / "after.wav")
    plot_losses(job / "metrics.jsonl", out / "loss.png")
    write_results(out, comparisons)


class Listening:
    """Measures the engine's loss on the songs held out, on those trained on, and on the other style."""

    def __init__(self, engine: Engine, job: Path):
        network = engine.model.config
        self.engine = engine
        trained, held_out = load_examples(job / "dataset", engine.base, network, WINDOW_SEC)
        other, _ = load_examples(job / "other", engine.base, network, WINDOW_SEC)
        sets = {"held-out song": held_out, "songs it learnt from": trained, "another style": other}
        self.sets: dict[str, ExampleSet] = {name: examples for name, examples in sets.items() if len(examples)}

    def losses(self) -> dict[str, float]:
        """Mean cross-entropy in nats over all codebooks, by set."""
        codebooks = self.engine.model.config.audio_num_codebooks
        return {name: mean_loss(self.engine.model, examples, 1, codebooks).loss for name, examples in self.sets.items()}


def learn(job: Path, base_name: str, steps: int) -> Path:
    """Train a LoRA in `job`; returns its checkpoint."""
    config = TrainConfig(
        base_model=base_name if base_name == BUNDLED_BASE else str(Path(base_name).resolve()),
        lora=LoraSettings(rank=16, alpha=32.0),
        epochs=steps,
        max_steps=steps,
        learning_rate=1e-3,
        batch_size=2,
        max_window_sec=WINDOW_SEC,
    )
    config.save(job / "config.json")
    with progress_bar("Learning the style", "step") as report:
        return train(job, lambda line: report(line["step"], line["total_steps"])).checkpoint


def make_song(engine: Engine, request: SongRequest, path: Path) -> None:
    with progress_bar(f"Making {path.name}", "frame") as report:
        engine.make_song(request, path, report)


def write_results(out: Path, comparisons: list[Comparison]) -> None:
    table = results_table(comparisons)
    (out / "results.md").write_text(table + "\n", encoding="utf-8")
    results = [{**asdict(comparison), "change": comparison.change} for comparison in comparisons]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table}\n\nListen to {out / 'before.wav'} and {out / 'after.wav'}; the curve is {out / 'loss.png'}.")
