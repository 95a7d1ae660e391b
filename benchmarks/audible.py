"""Whether a training can be heard: songs made before and after it, told apart by a small classifier.

    python -m benchmarks.audible --work DIR

Fetches music of three styles that nobody tuned to (or takes that in `--music`, one folder a style), trains on six clips
of each with the settings of the page, and makes songs with the same tags and seeds for all, so that only the training
can tell. A classifier that learnt real clips after the same codec, and other songs of the base, says of each song where
it is from. Losses are on songs of the style that were not learnt, and on those of the other styles.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.held_out_music import LEARNT, fetched_clips, given_clips
from benchmarks.report import load_average, machine, table
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.cli.songs import SongFile, write_dataset
from heartmula_studio.dataset.songs import load_songs, song_codes
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import ExampleSet, make_example_set, read_tracks
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.listening import (
    ClipJudge,
    audible_effect,
    clip_statistics,
    nearest_copy,
    nearest_kind,
    nearness,
)
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.settings import Settings

TAGS = "instrumental"  # for all, so that only the training can tell
SONGS = 12  # unless more are asked for, which takes longer and says more
SONG_SEC = 30.0  # unless something else is said
SHORT_SEC = 20.0
STRENGTHS = (0.5, 1.0, 1.5, 2.0)
OTHER_SEEDS = 1000  # of the base songs that the classifiers learn


@dataclass(frozen=True)
class Songs:
    """Songs of one model: their codes [K, T] and the statistics of their clips [n, F]."""

    codes: list[Tensor]
    clips: list[Tensor]

    @property
    def seconds(self) -> list[float]:
        return [codes.shape[1] / FRAME_RATE_HZ for codes in self.codes]


@dataclass(frozen=True)
class Style:
    """One style's music: datasets of what is learnt and what judges, the latter's codes and clips after the codec."""

    name: str
    learnt: Path
    judging: Path
    learnt_codes: list[Tensor]
    judging_codes: list[Tensor]
    songs: list[Tensor]  # clips [n, F] of each

    @property
    def clips(self) -> Tensor:
        """The clips of all its songs, [n, F]."""
        return torch.cat(self.songs)


@dataclass(frozen=True)
class Tuned:
    """What a training did until a step; it took `train_sec` in all."""

    style: str
    step: int
    train_sec: float
    losses: dict[str, float]  # by style
    songs: dict[float, Songs]  # by strength


class Bench:
    def __init__(self, runtime: Runtime, folder: Path, song: Mapping[str, Any], num_songs: int, decode_steps: int):
        """song: the settings of all songs but tags and seed."""
        self.runtime, self.folder, self.song, self.decode_steps = runtime, folder, song, decode_steps
        self.num_songs = num_songs  # of a model
        self.codec = runtime.load_codec()
        self.engine = Engine.load(runtime.base_name, str(runtime.device))

    def prepare(self, name: str, clips: Sequence[Path], num_versions: int) -> Style:
        """Tokenize a style's music and hear it after the codec."""
        parts = {"learnt": clips[:LEARNT], "judging": clips[LEARNT:]}
        codes: dict[str, list[Tensor]] = {}
        for part, paths in parts.items():
            folder = self.folder / "data" / name / part
            songs = [SongFile(path) for path in paths]
            tokens, versions = folder.with_name("tokens"), num_versions if part == "learnt" else 1
            write_dataset(songs, TAGS, self.codec, self.runtime.limits, tokens, folder, versions)
            dataset = load_songs(folder)
            codes[part] = [song_codes(dataset, row) for row in range(len(dataset))]
        root = self.folder / "data" / name
        heard = self.hear([*codes["learnt"], *codes["judging"]], root / "clips.pt")
        return Style(name, root / "learnt", root / "judging", codes["learnt"], codes["judging"], heard)

    def hear(self, codes: Sequence[Tensor], cache: Path) -> list[Tensor]:
        """Decode songs and describe their clips, once."""
        if not cache.exists():
            clips = [self._clips(song, seed) for seed, song in enumerate(codes)]
            cache.parent.mkdir(parents=True, exist_ok=True)
            torch.save(clips, cache)
        return torch.load(cache)

    def _clips(self, codes: Tensor, seed: int) -> Tensor:
        sound = torch.cat(list(self.codec.decode(codes, seed, num_steps=self.decode_steps)), dim=-1)
        return clip_statistics(sound, self.codec.sample_rate_hz)

    def make_songs(self, cache: Path, first_seed: int = 0) -> Songs:
        """Make songs with the engine as it is, once with the same settings."""
        cache = cache / " ".join(f"{name}={value}" for name, value in self._song_settings().items())
        if not (stored := cache / "codes.pt").exists():
            cache.mkdir(parents=True, exist_ok=True)
            seeds = range(first_seed, first_seed + self.num_songs)
            requests = [SongRequest(TAGS, seed=seed, **self.song) for seed in seeds]
            torch.save(self.engine.generate_together(requests), stored)
        codes = torch.load(stored)
        return Songs(codes, self.hear(codes, cache / "clips.pt"))

    def _song_settings(self) -> dict[str, Any]:
        """What songs are made with, what suits the base and a style that is on included."""
        [request] = self.engine._filled_in([SongRequest(TAGS, seed=0, **self.song)])
        sampling = {name: getattr(request, name) for name in ("temperature", "cfg_scale")}
        return {"songs": self.num_songs} | self.song | sampling

    def losses(self, styles: Sequence[Style]) -> dict[str, float]:
        """Measure the engine's loss on the judging songs of each style."""
        num_codebooks = self.engine.model.config.audio_num_codebooks
        examples = {style.name: self._examples(style.judging) for style in styles}
        return {name: mean_loss(self.engine.model, some, 6, num_codebooks).mean for name, some in examples.items()}

    def _examples(self, folder: Path) -> ExampleSet:
        sizes = self.engine.model.config
        dataset, layout = load_songs(folder), self.engine._layout
        return make_example_set(
            read_tracks(dataset, set(dataset["song"])), layout, 60.0, sizes.backbone_flavor.max_seq_len
        )

    def train(self, style: Style, config: TrainConfig, job: Path) -> tuple[float, int]:
        """Train on one style, in a folder that keeps what was made for it; return the seconds and the steps it took."""
        done = job / "seconds.json"
        if not done.exists():
            job.mkdir(parents=True, exist_ok=True)
            replace(config, dataset=str(style.learnt)).save(RunFolder(job).config)
            started = time.perf_counter()
            result = train(job, None, self.runtime.device.type)
            done.write_text(json.dumps([time.perf_counter() - started, result.step]))
        seconds, steps = json.loads(done.read_text())
        return seconds, steps

    def listen(self, checkpoint: Path, cache: Path, strengths: Sequence[float]) -> dict[float, Songs]:
        """Make songs with a checkpoint, which stays active."""
        self.engine.activate(checkpoint)
        songs = {}
        for strength in strengths:
            self.engine.set_strength(strength)
            songs[strength] = self.make_songs(cache.with_name(f"{cache.name}-{strength:g}"))
        self.engine.set_strength(1.0)
        return songs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for music, songs and trainings")
    parser.add_argument("--music", type=Path, help="one folder for each style, of twelve recordings")
    parser.add_argument("--name", default="defaults", help="of this measurement: what it made is kept under it")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="training settings")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="last")
    parser.add_argument("--curve", action="store_true", help="every checkpoint that was kept along the way")
    parser.add_argument("--song", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the songs")
    parser.add_argument("--songs", type=int, default=SONGS, help="how many of each model are judged")
    parser.add_argument("--decode-steps", type=int, default=10)
    parser.add_argument("--strengths", action="store_true", help="also 0.5, 1.5 and 2")
    parser.add_argument("--base")
    parser.add_argument("--device")
    arguments = parser.parse_args()
    runtime = Runtime.of(Settings.load(), arguments.base, arguments.device)
    config = runtime.train_config("lora", dict(map(as_setting, arguments.set)))
    song = {"duration_sec": SONG_SEC, **dict(map(as_setting, arguments.song))}
    # What one base made is not taken for another's.
    parts = "made", fingerprint(runtime.base.model), fingerprint(runtime.base.codec), str(arguments.decode_steps)
    made = arguments.work / "-".join(parts)
    bench = Bench(runtime, made, song, arguments.songs, arguments.decode_steps)
    music = given_clips(arguments.music) if arguments.music else fetched_clips(arguments.work)
    styles = [bench.prepare(name, clips, config.num_versions) for name, clips in music.items()]
    print(f"{runtime.base.name}, {config}. {machine()} Load average before: {load_average()}.\n")
    before = bench.losses(styles)
    base = bench.make_songs(bench.folder / "base" / "same")
    other_base = bench.make_songs(bench.folder / "base" / "other", OTHER_SEEDS)
    strengths = STRENGTHS if arguments.strengths else (1.0,)
    curve: dict[int, list[Tuned]] = {}
    for style in styles:
        job = bench.folder / "trained" / arguments.name / style.name
        seconds, steps = bench.train(style, config, job)
        for step, checkpoint in checkpoints(RunFolder(job), steps, arguments).items():
            songs = bench.listen(checkpoint, job / f"songs-{checkpoint.name}", strengths)
            curve.setdefault(step, []).append(Tuned(style.name, step, seconds, bench.losses(styles), songs))
            bench.engine.deactivate()
    for tuned in curve.values():
        report(styles, before, base, other_base, tuned)
    say_what_can_be_told(styles, base, other_base)


def checkpoints(run: RunFolder, steps: int, arguments: argparse.Namespace) -> dict[int, Path]:
    """Return the checkpoints of a run that are listened to, by their steps."""
    if arguments.curve:
        return {step: run.rung(step) for step in run.rung_steps()}
    return {steps: run.checkpoint(arguments.checkpoint)}


def as_setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def report(
    styles: Sequence[Style], before: Mapping[str, float], base: Songs, other_base: Songs, tuned: Sequence[Tuned]
) -> None:
    """Print what a training can be heard by, style by style, and the means."""
    heads = ("style", "own loss", "others", "told from base", "nearness", "under 20 s", "run (real)", "steps", "s")
    rows = []
    for style, one in zip(styles, tuned, strict=True):
        songs = one.songs[1.0]
        own = one.losses[style.name] / before[style.name] - 1
        others = [one.losses[name] / before[name] - 1 for name in before if name != style.name]
        effect = audible_effect(songs.clips, base.clips, style.clips, torch.cat(other_base.clips))
        run = max(nearest_copy(codes, style.learnt_codes)[1].changes for codes in songs.codes)
        real = max(nearest_copy(codes, style.learnt_codes)[1].changes for codes in style.judging_codes)
        short = sum(seconds < SHORT_SEC for seconds in songs.seconds)
        rows.append(
            (style.name, f"{own:+.1%}", f"{mean(others):+.1%} ({max(others):+.1%})", f"{effect.told:.2f}")
            + (f"{effect.nearness:.2f}", f"{short} of {len(songs.codes)}", f"{run} ({real})")
            + (str(one.step), f"{one.train_sec:.0f}")
        )
    print("\n" + table(heads, rows))
    short = sum(seconds < SHORT_SEC for seconds in base.seconds)
    print(f"\nThe base: {short} of {len(base.codes)} songs under 20 s.")
    pairs = pairs_told(styles, tuned)
    print(f"Tuned styles told from each other: {told_apart(styles, tuned):.2f} (pairs {pairs:.2f}).")
    print(f"Tuned songs told from the base's by songs alone: {mean(told_by_songs(one, base) for one in tuned):.2f}.")
    for strength in sorted({strength for one in tuned for strength in one.songs}):
        near = [
            mean(nearness(torch.cat(other_base.clips), style.clips, song) for song in one.songs[strength].clips)
            for style, one in zip(styles, tuned, strict=True)
        ]
        print(f"Strength {strength:g}: nearness {mean(near):.3f} ({', '.join(f'{value:.2f}' for value in near)}).")


def say_what_can_be_told(styles: Sequence[Style], base: Songs, other_base: Songs) -> None:
    """Print what the classifier says of songs whose origin is sure: real ones and the base's, each judged by others."""
    others = torch.cat(other_base.clips)
    print("\nOf songs that are what they are, it tells rightly:")
    for style in styles:
        judge = ClipJudge.learn([others, style.clips])
        of_base = mean(judge.kind_of(song) == 0 for song in base.clips)
        right = []
        for number, song in enumerate(style.songs):
            rest = [other for place, other in enumerate(style.songs) if place != number]
            right.append(ClipJudge.learn([others, torch.cat(rest)]).kind_of(song) == 1)
        of_real = mean(right)
        print(f"- {style.name}: {of_base:.2f} of the base's, {of_real:.2f} of real: {(of_base + of_real) / 2:.2f}.")


def told_apart(styles: Sequence[Style], tuned: Sequence[Tuned]) -> float:
    """The share of songs whose style a logistic regression names, and the same by nearest mean: their mean."""
    kinds = [style.clips for style in styles]
    judge = ClipJudge.learn(kinds)
    songs = [(kind, song) for kind, one in enumerate(tuned) for song in one.songs[1.0].clips]
    by_judge = mean(judge.kind_of(song) == kind for kind, song in songs)
    by_centroid = mean(nearest_kind(kinds, song) == kind for kind, song in songs)
    print(f"(Styles: logistic regression {by_judge:.2f}, nearest centroid {by_centroid:.2f}; of three.)")
    return (by_judge + by_centroid) / 2


def pairs_told(styles: Sequence[Style], tuned: Sequence[Tuned]) -> float:
    """The share of songs told right, style against style."""
    shares = []
    for i, j in combinations(range(len(styles)), 2):
        judge = ClipJudge.learn([styles[i].clips, styles[j].clips])
        shares += [judge.kind_of(song) == 0 for song in tuned[i].songs[1.0].clips]
        shares += [judge.kind_of(song) == 1 for song in tuned[j].songs[1.0].clips]
    return mean(shares)


def told_by_songs(one: Tuned, base: Songs) -> float:
    """The share of tuned and base songs told apart by what the others of both show, each pair of a seed left out."""
    right = []
    songs = one.songs[1.0].clips
    for left_out in range(len(songs)):
        rest = [torch.cat([song for i, song in enumerate(kind) if i != left_out]) for kind in (base.clips, songs)]
        judge = ClipJudge.learn(rest)
        right += [judge.kind_of(base.clips[left_out]) == 0, judge.kind_of(songs[left_out]) == 1]
    return mean(right)


if __name__ == "__main__":
    main()
