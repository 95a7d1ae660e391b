"""Measures what a base model costs: `python -m benchmarks.model`. Prints Markdown.

`--base FOLDER` measures another base than the bundled one; `--random 3B` one of the official sizes with random weights.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from benchmarks.random_base import SIZES, write_random_base
from benchmarks.report import load_average, machine, table
from benchmarks.songs import SongBench, real_time, small_gpu_rows
from benchmarks.steps import HEADS, StepBench
from benchmarks.studio_process import MIB
from heartmula_studio.arch.checkpoints import BaseFolder, find_base, load_heartmula, weight_files
from heartmula_studio.arch.device import pick_device
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import full_precision
from heartmula_studio.settings import BUNDLED_BASE

LIBRARIES = ("torch", "peft", "torchao")
PARTS = ("loading", "sound", "songs", "small", "losses", "steps")


class Bench:
    """One base on one device. Every figure is the median of `repeats` runs after one that is not counted."""

    def __init__(self, base: BaseFolder, device: torch.device, repeats: int):
        self.base, self.device, self.repeats = base, device, repeats

    def seconds(self, work: Callable[[], object]) -> float:
        times = []
        for _ in range(1 + self.repeats):
            started = time.perf_counter()
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            times.append(time.perf_counter() - started)
        return median(times[1:])

    def load_model(self) -> HeartMuLa:
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        return load_heartmula(self.base.model, self.device, dtype).requires_grad_(False)

    def loading_rows(self) -> Iterator[tuple[str, str]]:
        files = weight_files(self.base.model, "")
        read = self.seconds(lambda: [path.read_bytes() for path in files])
        loaded = self.seconds(self.load_model)
        size = sum(path.stat().st_size for path in files) / MIB
        yield f"loading {size:,.0f} MiB of weights", f"{loaded:.2f} s, {loaded / read:.1f} times reading the file"

    def sound_rows(self, seconds: float) -> Iterator[tuple[str, str]]:
        codec = Codec.load(self.base, self.device)
        config = codec.heartcodec.config
        codes = torch.randint(0, config.codebook_size, (config.num_quantizers, frames_of(seconds)))
        yield "tokens to sound, 10 steps", real_time(seconds, self.seconds(lambda: list(codec.decode(codes))))
        encoder = codec.heartcodec.encoder
        window = 0.1 * torch.randn(1, 2, encoder.window_samples, device=self.device)
        with torch.inference_mode(), full_precision():
            spent = self.seconds(lambda: codec.heartcodec.quantize(codec.heartcodec.encode_window(window)))
        yield "sound to tokens", real_time(encoder.window_samples / encoder.sample_rate_hz, spent)

    def song_rows(self, seconds: float) -> Iterator[tuple[str, str]]:
        yield from SongBench(self.base, self.load_model(), self.seconds).rows(seconds)

    def small_rows(self) -> Iterator[tuple[str, str]]:
        if self.device.type == "cuda":
            yield from small_gpu_rows(self.base, self.device)

    def loss_rows(self) -> Iterator[tuple[str, str]]:
        yield from StepBench(self.base, self.device, self.seconds).loss_rows()

    def step_rows(self) -> Iterator[tuple[str, ...]]:
        yield from StepBench(self.base, self.device, self.seconds).rows()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--base", type=Path, help="folder in heartlib's ckpt/ layout")
    which.add_argument("--random", choices=SIZES, help="random weights of an official size, in a temporary folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the songs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parsed = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="heartmula-benchmark-"))
    try:
        device = pick_device(parsed.device)
        folder = write_random_base(parsed.random, scratch, device) if parsed.random else parsed.base or BUNDLED_BASE
        report(Bench(find_base(folder), device, parsed.repeats), parsed.seconds, parsed.only)
    finally:
        shutil.rmtree(scratch)


def report(bench: Bench, seconds: float, parts: list[str]) -> None:
    print(f"{bench.base.name} on {bench.device}. {machine(LIBRARIES)} Load average before: {load_average()}.\n")
    makers = {
        "loading": bench.loading_rows,
        "sound": lambda: bench.sound_rows(seconds),
        "songs": lambda: bench.song_rows(seconds),
        "small": bench.small_rows,
        "losses": bench.loss_rows,
    }
    print(table(("what", "value"), [row for part in makers if part in parts for row in shown(makers[part]())]))
    if "steps" in parts:
        print("\n" + table(HEADS, list(shown(bench.step_rows()))))


def shown(rows: Iterator[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Pass rows on, and tell of each as it comes."""
    for row in rows:
        print(*row, sep=" | ", file=sys.stderr, flush=True)
        yield row


if __name__ == "__main__":
    main()
