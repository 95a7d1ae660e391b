"""`python -m benchmarks.batching`: songs of several requests side by side, against one after the other.

Both are made whole, with sound and files, by the engine that the server uses, by turns; of the times, the medians are
told. It is counted how many songs come out with the codes, and the sound, that they have alone.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.report import load_average, machine, table
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_writer import GeneratedSong
from heartmula_studio.generate.takes import SongOutput

TAGS = ("piano, calm", "arcade", "techno", "rock, guitar", "ambient", "jazz, slow", "folk", "8-bit")
HEADS = ("seconds", "one after the other", "side by side", "times the throughput")
Songs = list[GeneratedSong | None]


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of processors."""

    clock_sec: float
    processor_sec: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--base", default="nano", help="nano, or a folder in heartlib's ckpt/ layout")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each song")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine(('torch',))} Load average before: {load_average()}.\n")
    engine = Engine.load(options.base, options.device)
    tags = [TAGS[number % len(TAGS)] for number in range(options.songs)]
    requests = [SongRequest(one, duration_sec=options.seconds, seed=number) for number, one in enumerate(tags)]
    with tempfile.TemporaryDirectory() as folder:
        report(engine, requests, Path(folder), options.rounds)


def report(engine: Engine, requests: list[SongRequest], folder: Path, rounds: int) -> None:
    outputs = [SongOutput(folder / f"together-{number}.wav") for number in range(len(requests))]

    def alone() -> Songs:
        return [engine.make_song(request, folder / f"alone-{n}.wav") for n, request in enumerate(requests)]

    engine.make_song(replace(requests[0], duration_sec=1.0), folder / "first.wav")  # loads what is loaded once
    both = [(timed(alone), timed(lambda: engine.make_takes(requests, outputs))) for _ in range(rounds)]
    one_by_one, side_by_side = ([spent for _, spent in runs] for runs in zip(*both, strict=True))
    figures = {"by the clock": "clock_sec", "of processors": "processor_sec"}
    print(table(HEADS, [row(what, figure, one_by_one, side_by_side) for what, figure in figures.items()]))
    (songs_alone, _), (songs_together, _) = both[-1]
    for what in ("codes", "sound"):
        same = sum(is_same(*pair, f"{what}_sha256") for pair in zip(songs_alone, songs_together, strict=True))
        print(f"{same} of {len(requests)} have the {what} that they have alone.")
    print(f"Load average after: {load_average()}.")


def timed(work: Callable[[], Songs]) -> tuple[Songs, Spent]:
    clock, processor = time.perf_counter(), time.process_time()
    songs = work()
    return songs, Spent(time.perf_counter() - clock, time.process_time() - processor)


def row(what: str, figure: str, alone: list[Spent], together: list[Spent]) -> tuple[str, ...]:
    before, now = (median(getattr(spent, figure) for spent in runs) for runs in (alone, together))
    return what, f"{before:.1f}", f"{now:.1f}", f"{before / now:.2f}"


def is_same(alone: GeneratedSong | None, together: GeneratedSong | None, digest: str) -> bool:
    return bool(alone and together) and getattr(alone.receipt, digest) == getattr(together.receipt, digest)


if __name__ == "__main__":
    main()
