"""Measures what a base learns from five songs: `python -m benchmarks.tuning`. Prints Markdown.

Each of the six bundled clips in turn is kept back and listened to before and after a LoRA learns the other five, as the
demo does it; `--defaults` takes the trainer's own settings instead.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from benchmarks.report import load_average, machine, table
from heartmula_studio.cli.demo import WINDOW_SEC, SongSet, demo_config, losses, song_set
from heartmula_studio.cli.report import LossChange
from heartmula_studio.cli.songs import write_dataset
from heartmula_studio.dataset.clips import bundled_clips
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.flat_settings import with_settings
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.settings import Settings

KEPT_BACK, OTHER = "kept", "other"  # folders beside the dataset that is learnt


@dataclass(frozen=True)
class Tuned:
    """What a training on five songs did to the losses of the song that was kept back and of another style."""

    song: str
    changes: tuple[float, ...]  # as shares
    seconds: float


class Tuning:
    def __init__(self, runtime: Runtime, config: TrainConfig, scratch: Path):
        self.runtime, self.config, self.scratch = runtime, config, scratch
        self.codec = runtime.load_codec()

    def in_turn(self, num_songs: int) -> Iterator[Tuned]:
        """Keep back the first `num_songs` clips, one after the other."""
        style = song_set(bundled_clips("style"))
        for number, kept in enumerate(style.songs[:num_songs]):
            learnt = [song for song in style.songs if song is not kept]
            job = self.scratch / f"job{number}"
            for name, songs in (
                ("dataset", SongSet(learnt, style.tags)),
                (KEPT_BACK, SongSet([kept], style.tags)),
                (OTHER, song_set(bundled_clips("other"))),
            ):
                self.write(songs, job / name)
            yield self.tune(kept.name, job)

    def write(self, songs: SongSet, folder: Path) -> None:
        write_dataset(songs.songs, songs.tags, self.codec, self.runtime.limits, self.scratch / "tokens", folder)

    def tune(self, song: str, job: Path) -> Tuned:
        engine = Engine.load(self.runtime.base_name, str(self.runtime.device))
        network = engine.model.config
        sets = {name: load_examples(job / name, engine.base, network, WINDOW_SEC)[0] for name in (KEPT_BACK, OTHER)}
        self.config.save(RunFolder(job).config)
        before, started = losses(engine, sets), time.perf_counter()
        result = train(job, None, self.runtime.device.type)
        seconds = time.perf_counter() - started
        engine.activate(result.checkpoint)
        after = losses(engine, sets)
        return Tuned(song, tuple(LossChange(name, before[name], after[name]).change for name in sets), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="nano, or a folder in heartlib's ckpt/ layout")
    parser.add_argument("--device")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument(
        "--defaults", action="store_true", help="the trainer's own settings, its number of steps as well"
    )
    parser.add_argument("--depth-frame-fraction", type=float, default=1.0)
    parser.add_argument("--settings", type=json.loads, default={}, help="others: '{\"lora_audio_head\": true}'")
    parser.add_argument("--songs", type=int, default=6, help="how many of the clips are kept back")
    parsed = parser.parse_args()
    runtime = Runtime.of(Settings.load(), parsed.base, parsed.device)
    config = runtime.train_config("lora") if parsed.defaults else demo_config(runtime, parsed.steps)
    config = with_settings(replace(config, depth_frame_fraction=parsed.depth_frame_fraction), parsed.settings)
    print(f"{runtime.base.name}, {config}. {machine()} Load average before: {load_average()}.\n")
    with tempfile.TemporaryDirectory(prefix="heartmula-benchmark-") as scratch:
        tuned = list(Tuning(runtime, config, Path(scratch)).in_turn(parsed.songs))
    rows = [row(one.song, *one.changes, one.seconds) for one in tuned]
    rows.append(
        row("mean", *map(mean, zip(*(one.changes for one in tuned), strict=True)), mean(x.seconds for x in tuned))
    )
    print(table(("kept back", "its loss", "loss of another style", "training (s)"), rows))


def row(name: str, kept_back: float, other: float, seconds: float) -> tuple[str, ...]:
    return name, f"{kept_back:+.1%}", f"{other:+.1%}", f"{seconds:.0f}"


if __name__ == "__main__":
    main()
