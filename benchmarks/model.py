"""Measures what a base model costs: `python -m benchmarks.model`. Prints Markdown.

`--base FOLDER` measures another base than the bundled one; `--random 3B` one of the official sizes with random weights.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.random_base import SIZES, write_random_base
from benchmarks.report import load_average, machine, table
from benchmarks.songs import SongBench, real_time
from benchmarks.studio_process import MIB
from heartmula_studio.arch.checkpoints import BUNDLED_BASE, BaseFolder, find_base, weight_files
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import full_precision
from heartmula_studio.dataset.batch import Batch, make_example
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.evaluate import batch_loss
from heartmula_studio.finetune.methods import load_base, load_network
from heartmula_studio.generate.engine import pick_device

WINDOWS_SEC = (30, 60, 120, 240)


class Bench:
    """One base on one device. Every figure is the median of `repeats` runs after one that is not counted."""

    def __init__(self, base: BaseFolder, device: torch.device, repeats: int):
        self.base, self.device, self.repeats = base, device, repeats
        self.layout = PromptLayout.load(base)
        self.num_codes = self.layout.special.audio_eos_id - 1  # upstream keeps one id between the codes and the end
        self.config = TrainConfig(
            base_dtype="bfloat16" if device.type == "cuda" else "float32",
            mixed_precision="bf16" if device.type == "cuda" else "no",
            gradient_checkpointing=device.type == "cuda",
        )

    def seconds(self, work: Callable[[], object]) -> float:
        times = []
        for _ in range(1 + self.repeats):
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return median(times[1:])

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def load_model(self) -> HeartMuLa:
        return load_base(self.base, self.config.base_dtype, self.device)

    def random_codes(self, num_codebooks: int, codebook_size: int, seconds: float) -> Tensor:
        return torch.randint(0, codebook_size, (num_codebooks, frames_of(seconds)))

    # --- sound -----------------------------------------------------------------------------------------------------

    def codec_rows(self, seconds: float) -> Iterator[tuple[str, str]]:
        codec = Codec.load(self.base, self.device)
        flow = codec.heartcodec.config.flow
        codes = self.random_codes(flow.num_quantizers, flow.codebook_size, seconds)
        yield "tokens to sound, 10 steps", real_time(seconds, self.seconds(lambda: list(codec.decode(codes))))
        encoder = codec.heartcodec.encoder
        window = 0.1 * torch.randn(1, 2, encoder.window_samples, device=self.device)
        with torch.inference_mode(), full_precision():
            spent = self.seconds(lambda: codec.heartcodec.quantise(codec.heartcodec.encode_window(window)))
        yield "sound to tokens", real_time(encoder.window_samples / encoder.sample_rate_hz, spent)

    # --- training --------------------------------------------------------------------------------------------------

    def training_rows(self, base_dtype: str) -> Iterator[tuple[str, str, str, str]]:
        network = load_network(self.base, replace(self.config, base_dtype=base_dtype), self.device)
        optimizer = torch.optim.AdamW(p for p in network.parameters() if p.requires_grad)
        for seconds in WINDOWS_SEC:
            batch = self.batch(network.get_base_model(), seconds)

            def step(batch: Batch = batch) -> None:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.mixed_precision == "bf16"):
                    loss = batch_loss(network, batch).total()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

            with peak_memory(self.device) as peak:
                spent = self.seconds(step)
            yield (
                f"LoRA step, {seconds} s, base in {base_dtype}",
                f"{spent:.2f} s",
                f"{1000 * spent / seconds:.1f} ms",
                peak(),
            )

    def batch(self, model: HeartMuLa, seconds: float) -> Batch:
        codes = self.random_codes(model.config.audio_num_codebooks, self.num_codes, seconds)
        prompt = self.layout.build("piano, calm", "")
        return Batch.collate([make_example(prompt, codes, self.layout.special, ends_song=True)]).to(self.device)

    # --- loading ---------------------------------------------------------------------------------------------------

    def loading_rows(self) -> Iterator[tuple[str, str]]:
        files = weight_files(self.base.model, "")
        read = self.seconds(lambda: [path.read_bytes() for path in files])
        loaded = self.seconds(self.load_model)
        size = sum(path.stat().st_size for path in files) / MIB
        yield f"loading {size:,.0f} MiB of weights", f"{loaded:.2f} s, {loaded / read:.1f} times reading the file"


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], str]]:
    """Yields what says, afterwards, how much a GPU held at most; a CPU's memory has no such counter."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield lambda: f"{torch.cuda.max_memory_allocated(device) / MIB:,.0f} MiB" if device.type == "cuda" else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--base", type=Path, help="folder in heartlib's ckpt/ layout")
    which.add_argument("--random", choices=SIZES, help="random weights of an official size, in a temporary folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the songs")
    parsed = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="heartmula-benchmark-"))
    try:
        folder = write_random_base(parsed.random, scratch) if parsed.random else parsed.base or BUNDLED_BASE
        report(Bench(find_base(folder), pick_device(parsed.device), parsed.repeats), parsed.seconds)
    finally:
        shutil.rmtree(scratch)


def report(bench: Bench, seconds: float) -> None:
    print(f"{bench.base.name} on {bench.device}. {machine()} Load average before: {load_average()}.\n")
    rows = []
    songs = SongBench(bench.base, bench.load_model(), bench.seconds)
    for measured in (bench.loading_rows(), bench.codec_rows(seconds), songs.rows(seconds)):
        for row in measured:
            print(*row, file=sys.stderr)
            rows.append(row)
    print(table(("what", "value"), rows), end="\n\n")
    heads = ("training", "a step", "for a second of sound", "most memory of the GPU")
    rows = [row for base_dtype in (bench.config.base_dtype, "nf4") for row in bench.training_rows(base_dtype)]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
