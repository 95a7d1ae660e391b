"""Measure whole songs of a base: how fast they are made, decoding included, and how many end by themselves.

python -m recipes.nano.song_figures --base heartmula_studio/assets/nano
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

TAGS = (
    "classical, chamber music, violin, cello, slow, instrumental",
    "metal, heavy, drums, distorted guitar, fast, instrumental",
    "jazz, swing, piano, double bass, drums, fast, instrumental",
    "ambient, dark, drone, calm, instrumental",
    "country, bluegrass, banjo, fiddle, fast, instrumental",
)
SONGS_PER_PROMPT = 2
LONGEST_SEC = 240.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--longest", type=float, default=LONGEST_SEC, help="seconds after which a song is cut off")
    arguments = parser.parse_args()
    engine = Engine.load(arguments.base, arguments.device)
    lengths, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for tags in TAGS:
            for seed in range(SONGS_PER_PROMPT):
                request, started = SongRequest(tags, duration_sec=arguments.longest, seed=seed), time.perf_counter()
                receipt = engine.make_song(request, Path(folder) / "song.wav").receipt
                lengths.append(receipt.duration_sec)
                speeds.append(receipt.duration_sec / (time.perf_counter() - started))
    figures = {
        "songs": len(lengths),
        "ended_by_themselves": sum(length < arguments.longest - 1 for length in lengths),
        "median_sec": round(median(lengths), 1),
        "times_real_time": round(median(speeds), 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
