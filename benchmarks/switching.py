"""How long it takes to put another style on a loaded model: LoRAs of the default rank on all layers, by turns."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.model_setup import load_network
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

BASE = "nano"
SHORTEST = SongRequest("techno", duration_sec=1.0)


def switch_times(rounds: int) -> Iterator[tuple[float, float]]:
    """Seconds to switch, and what the next song takes longer than one more in the same style, each round."""
    engine = Engine.load(BASE, "cpu")
    engine.generate(SHORTEST)
    with two_styles() as styles:
        for round in range(rounds):
            switching = seconds(lambda style=styles[round % 2]: engine.activate(style))
            first, second = (seconds(lambda: engine.generate(SHORTEST)) for _ in range(2))
            yield switching, first - second


@contextmanager
def two_styles() -> Iterator[list[Path]]:
    """Yield the folders of two untrained LoRAs."""
    with tempfile.TemporaryDirectory() as folder:
        styles = [Path(folder, name) for name in ("one", "other")]
        for style in styles:
            network = load_network(find_base(BASE), TrainConfig(), torch.device("cpu"))
            network.save_pretrained(style, save_embedding_layers=False)
        yield styles


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
