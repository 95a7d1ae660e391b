"""A tiny base in heartlib's layout (the golden network) and job folders on it."""

import shutil
from pathlib import Path

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base, load_heartmula, save_model
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.clips import bundled_clips
from tests.finetune.training_jobs import RARE_CODE, song_row, write_job

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("base")
    shutil.copytree(GOLDEN / "heartmula", root / "HeartMuLa-golden")
    shutil.copytree(GOLDEN / "heartcodec", root / "HeartCodec-golden")
    for name in ("tokenizer.json", "gen_config.json"):
        shutil.copy(GOLDEN / name, root)
    return root


@pytest.fixture(scope="session")
def songs() -> list[dict]:
    """Six stretches of real music, in the codes of nano."""
    codes = Codec.load(find_base("nano")).encode_file(bundled_clips("style").paths[0]).codes
    return [
        {"song": f"song {number}", "tags": ["techno"], "lyrics": "", "codes": part}
        for number, part in enumerate(codes.split(50, dim=1)[:6])
    ]


@pytest.fixture
def make_job(tmp_path, base_dir):
    """make_job(name, num_songs, rows, **settings) → a job folder; by default six songs of 10, 13, 16, … frames."""

    def make(name: str = "job", num_songs: int = 6, rows: list[dict] | None = None, **settings) -> Path:
        rows = rows or [song_row(i, 10 + 3 * i) for i in range(num_songs)]
        return write_job(tmp_path / name, rows, **{"base_model": str(base_dir), **settings})

    return make


@pytest.fixture(scope="session")
def base_without_one_code(base_dir, tmp_path_factory):
    """A base that computes NaN where codebook 0 holds RARE_CODE."""
    root = tmp_path_factory.mktemp("base") / "damaged"
    shutil.copytree(base_dir, root)
    folder = find_base(root).model
    model = load_heartmula(folder)
    with torch.no_grad():
        model.audio_embeddings.weight[RARE_CODE] = float("nan")
    save_model(model, model.config.to_dict(), folder)
    return root
