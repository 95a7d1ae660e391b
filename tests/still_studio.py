"""A Studio whose queues stand still, on the bundled base, and what fills it."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from heartmula_studio.arch.checkpoints import ASSETS
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.studio import Studio

CLIPS = sorted((ASSETS / "clips" / "style").glob("*.ogg"))
WAIT_SEC = 240


def settings_for(data_dir: Path) -> Settings:
    return dataclasses.replace(Settings.load({}), data_dir=data_dir, device="cpu", base_model="nano")


def still_studio(settings: Settings) -> Studio:
    """What waits goes on waiting."""
    return Studio(settings, Store(settings.data_dir, settings.max_upload_bytes, settings.max_files))


def filled(studio: Studio, count: int = 5) -> Dataset:
    dataset = studio.datasets.create("Mine", ["Techno"])
    for clip in CLIPS[:count]:
        studio.datasets.add_file(dataset.id, clip)
    return studio.datasets.get(dataset.id)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SEC
    while not is_so():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)


def tokenized(studio: Studio, dataset: Dataset) -> Dataset:
    studio.datasets.preprocess(dataset.id)
    wait_until(lambda: studio.datasets.get(dataset.id).status != "processing")
    return studio.datasets.get(dataset.id)


def zipped_adapter(folder: Path, layer: int = 0, width: int | None = None) -> Path:
    """A LoRA of one linear layer, as PEFT writes it, in a zip; it fits the bundled base unless told otherwise."""
    base = json.loads((ASSETS / "nano" / "HeartMuLa-nano" / "config.json").read_text())
    width = width or base["backbone_flavor"]["embed_dim"]
    content = folder / "adapter"
    content.mkdir()
    target = f"backbone.layers.{layer}.attn.q_proj"
    shapes = {"A": (2, width), "B": (width, 2)}
    weights = {f"base_model.model.{target}.lora_{side}.weight": torch.ones(shape) for side, shape in shapes.items()}
    save_file(weights, content / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": [target]}
    (content / "adapter_config.json").write_text(json.dumps(config))
    return Path(shutil.make_archive(str(folder / "style"), "zip", content))
