"""The name of a codec's codebook."""

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from heartmula_studio.codec.identity import codebook_id, stored_codebook_id

GOLDEN = Path(__file__).parent.parent / "golden"


def change(path: Path, name: str) -> None:
    state = load_file(path)
    state[name] = state[name] + 1
    save_file(state, path)


def test_loaded_and_stored_codecs_have_one_name(golden_heartcodec):
    loaded = codebook_id(golden_heartcodec.flow_matching.vq_embed)
    assert stored_codebook_id(GOLDEN / "heartcodec") == loaded


def test_name_follows_the_codebooks_and_nothing_else(tmp_path):
    folder = shutil.copytree(GOLDEN / "heartcodec", tmp_path / "codec")
    before = stored_codebook_id(folder)
    change(folder / "model.safetensors", "flow_matching.zero_cond_embedding1")
    assert stored_codebook_id(folder) == before
    change(folder / "model.safetensors", "flow_matching.vq_embed.layers.3._codebook.embed")
    assert stored_codebook_id(folder) != before
