"""What trainings of bundled bases are tried on."""

import sys
from pathlib import Path

import pytest
import torch

from heartmula_studio.arch.checkpoints import ASSETS
from recipes.nano.audio import read_stereo, write_flac
from recipes.nano.manifest import write_manifest

CLIPS = sorted((ASSETS / "clips").glob("*/*.ogg"))[:4]


def write_work(folder: Path) -> Path:
    """What `recipes.nano.prepare` leaves behind, but four clips instead of hours, each twice as long as it was."""
    (folder / "audio").mkdir()
    records = []
    for number, clip in enumerate(CLIPS):
        file, sound = f"audio/{clip.stem}.flac", read_stereo(clip)
        write_flac(torch.cat((sound, sound), dim=1), folder / file)
        split = "train" if number else "held_out"
        record = {"id": clip.stem, "file": file, "title": clip.stem, "tags": ["techno", "fast"]}
        records.append(record | {"lm": True, "kind": "recording", "split": split})
    write_manifest(records, folder / "manifest.jsonl")
    return folder


@pytest.fixture
def work(tmp_path):
    return write_work(tmp_path)


@pytest.fixture
def run(monkeypatch, work):
    """run(module, "--steps", "2") runs it as its command line would."""

    def run_module(module, *options: str) -> None:
        monkeypatch.setattr(sys, "argv", [module.__name__, "--work", str(work), *options])
        module.main()

    return run_module
