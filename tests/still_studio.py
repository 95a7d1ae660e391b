"""A Studio whose queues stand still, on the bundled base, and what fills it."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.arch.checkpoints import ASSETS
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.studio import Studio
from tests.recordings import SONGS

NANO = ASSETS / "nano" / "HeartMuLa-nano"
WAIT_SEC = 240


def settings_for(data_dir: Path) -> Settings:
    return dataclasses.replace(Settings.load({}), preview_songs=0, data_dir=data_dir, device="cpu", base_model="nano")


def still_studio(settings: Settings) -> Studio:
    """What waits goes on waiting."""
    return Studio(settings, Store(settings.data_dir, settings.max_upload_bytes, settings.max_files))


def filled(studio: Studio, count: int = 5, songs: Sequence[Path] = SONGS) -> Dataset:
    dataset = studio.datasets.create("Mine", ["Techno"])
    for song in songs[:count]:
        studio.datasets.add_file(dataset.id, song)
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


def adapter_folder(folder: Path, layer: int = 0, width: int | None = None, scale: float = 1.0) -> None:
    """A LoRA of one linear layer, as PEFT writes it; it fits the bundled base unless told otherwise."""
    base = json.loads((NANO / "config.json").read_text())
    width = width or base["backbone_flavor"]["embed_dim"]
    target = f"backbone.layers.{layer}.attn.q_proj"
    shapes = {"lora_A.weight": (2, width), "lora_B.weight": (width, 2)}
    _write(folder, target, {part: torch.full(shape, scale) for part, shape in shapes.items()})


def zipped_adapter(folder: Path, layer: int = 0, width: int | None = None) -> Path:
    """As `adapter_folder`, in a zip."""
    adapter_folder(folder / "adapter", layer, width)
    return Path(shutil.make_archive(str(folder / "style"), "zip", folder / "adapter"))


def vanishing_adapter(folder: Path) -> Path:
    """A DoRA of good values that makes a row of the base's weight 0, whose norm it divides by: every logit is NaN."""
    target = "backbone.layers.0.mlp.w2"
    weight = load_file(NANO / "model.safetensors")[f"{target}.weight"].float()
    up = torch.zeros(len(weight), 1)
    up[0] = -1
    parts = {"lora_A.weight": weight[:1], "lora_B.weight": up, "lora_magnitude_vector": torch.ones(len(up))}
    _write(folder / "adapter", target, parts, use_dora=True)
    return Path(shutil.make_archive(str(folder / "style"), "zip", folder / "adapter"))


def _write(content: Path, target: str, parts: Mapping[str, torch.Tensor], **settings: object) -> None:
    rank = len(parts["lora_A.weight"])
    content.mkdir(parents=True)
    weights = {f"base_model.model.{target}.{part}": values.contiguous() for part, values in parts.items()}
    save_file(weights, content / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": [target], **settings}
    (content / "adapter_config.json").write_text(json.dumps(config))
