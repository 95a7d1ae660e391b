"""The name of a codec's codebook."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.arch.checkpoints import load_codec_network
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.identity import codebook_id, stored_codebook_id
from heartmula_studio.errors import CheckpointMismatchError
from tests.official_files import Network

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


def sound_of(codec: HeartCodec, golden: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(Codec(codec, "").decode(golden["codec.detok100.codes"][:, :10], num_steps=1)), dim=1)


@pytest.fixture(scope="module")
def golden_sound(golden, golden_heartcodec, short_windows) -> torch.Tensor:
    return sound_of(golden_heartcodec, golden)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_flags_of_shape_one_change_neither_name_nor_sound(tmp_path, golden, golden_heartcodec, golden_sound, dtype):
    """P: the Hub's HeartCodec keeps its eight `initted` flags as lists of one, and could not be loaded."""
    Network.read(GOLDEN / "heartcodec").with_flags((1,), dtype).write(tmp_path)
    loaded = load_codec_network(tmp_path)
    assert codebook_id(loaded.flow_matching.vq_embed) == codebook_id(golden_heartcodec.flow_matching.vq_embed)
    assert stored_codebook_id(tmp_path) == stored_codebook_id(GOLDEN / "heartcodec")
    assert torch.equal(sound_of(loaded, golden), golden_sound)


def test_a_list_of_several_is_no_flag(tmp_path):
    network = Network.read(GOLDEN / "heartcodec")
    flags = {name: torch.ones(3) for name in network.tensors if name.endswith("initted")}
    Network({**network.tensors, **flags}, network.config).write(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"initted as F32 \[3\]"):
        load_codec_network(tmp_path)
