"""`python -m benchmarks.batching`: songs of several requests side by side, against one after the other.

Both are made whole, with sound and files, by the engine that the server uses; and it is counted how many come out with
the codes that they have alone.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_writer import GeneratedSong
from heartmula_studio.generate.takes import SongOutput

TAGS = ("piano, calm", "arcade", "techno", "rock, guitar", "ambient", "jazz, slow", "folk", "8-bit")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--base", default="nano", help="nano, or a folder in heartlib's ckpt/ layout")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each song")
    options = parser.parse_args()
    engine = Engine.load(options.base, options.device)
    tags = [TAGS[number % len(TAGS)] for number in range(options.songs)]
    requests = [SongRequest(one, duration_sec=options.seconds, seed=number) for number, one in enumerate(tags)]
    with tempfile.TemporaryDirectory() as folder:
        compare(engine, requests, Path(folder))


def compare(engine: Engine, requests: list[SongRequest], folder: Path) -> None:
    engine.make_song(replace(requests[0], duration_sec=1.0), folder / "first.wav")  # loads what is loaded once
    began = time.perf_counter()
    alone = [engine.make_song(request, folder / f"alone-{n}.wav") for n, request in enumerate(requests)]
    after_alone = time.perf_counter()
    together = engine.make_takes(requests, [SongOutput(folder / f"together-{n}.wav") for n in range(len(requests))])
    ended = time.perf_counter()
    same = sum(is_same(*pair) for pair in zip(alone, together, strict=True))
    one_by_one, side_by_side = after_alone - began, ended - after_alone
    print(f"One after the other {one_by_one:.1f} s, side by side {side_by_side:.1f} s.")
    print(f"{one_by_one / side_by_side:.2f} times the throughput; {same} of {len(requests)} have the codes of alone.")


def is_same(alone: GeneratedSong, together: GeneratedSong | None) -> bool:
    return together is not None and alone.receipt.codes_sha256 == together.receipt.codes_sha256


if __name__ == "__main__":
    main()
