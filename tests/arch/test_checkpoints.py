"""Checkpoint folders as people have them: heartlib's layout, shards, prefixes, and what is wrong with them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.arch.checkpoints import find_base, load_codec_network, load_heartmula, save_model, write_model
from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError, CheckpointMissingError
from tests.official_files import SMALL_ENCODER

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture
def model_folder(tmp_path) -> Path:
    return shutil.copytree(GOLDEN / "heartmula", tmp_path / "HeartMuLa-oss-3B")


@pytest.fixture
def official_layout(tmp_path, model_folder) -> Path:
    shutil.copytree(GOLDEN / "heartcodec", tmp_path / "HeartCodec-oss")
    for name in ("tokenizer.json", "gen_config.json"):
        shutil.copy(GOLDEN / name, tmp_path)
    return tmp_path


def split_into_shards(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: state[name] for name in members}, folder / shard)
    weight_map = {name: shard for shard, members in shards.items() for name in members}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()


def test_heartlib_layout_is_found(official_layout):
    base = find_base(official_layout)
    assert (base.name, base.model.name) == ("HeartMuLa-oss-3B", "HeartMuLa-oss-3B")
    assert base.codec.name == "HeartCodec-oss"
    assert base.encoder is None


def test_recommended_model_and_encoder_are_preferred(official_layout):
    shutil.copytree(GOLDEN / "heartmula", official_layout / "HeartMuLa-oss-3B-happy-new-year")
    (official_layout / "HeartCodec-oss-encoder").mkdir()
    (official_layout / "HeartTranscriptor-oss").mkdir()
    base = find_base(official_layout)
    assert base.model.name == "HeartMuLa-oss-3B-happy-new-year"
    assert (base.codec.name, base.encoder.name) == ("HeartCodec-oss", "HeartCodec-oss-encoder")


@pytest.mark.parametrize(
    ("missing", "repo"),
    [
        ("HeartMuLa-oss-3B", "HeartMuLa/HeartMuLa-oss-3B-happy-new-year"),
        ("HeartCodec-oss", "HeartMuLa/HeartCodec-oss-20260123"),
        ("tokenizer.json", "HeartMuLa/HeartMuLaGen"),
    ],
)
def test_missing_part_is_named_with_its_repository(official_layout, missing, repo):
    path = official_layout / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointMissingError, match=missing) as caught:
        find_base(official_layout)
    target = path if path.suffix == "" else official_layout
    assert caught.value.hint == f"Download it: hf download {repo} --local-dir {target}"


def test_missing_weights_are_downloaded_into_their_own_folder(model_folder):
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointMissingError, match=r"model\.safetensors is missing") as caught:
        load_heartmula(model_folder)
    assert caught.value.hint.endswith(f"--local-dir {model_folder}")


def test_shards_load_like_one_file(model_folder):
    whole = load_heartmula(model_folder).state_dict()
    split_into_shards(model_folder)
    sharded = load_heartmula(model_folder).state_dict()
    assert whole.keys() == sharded.keys()
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_missing_shard_is_named(model_folder):
    split_into_shards(model_folder)
    (model_folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointMissingError, match="model-00002-of-00002"):
        load_heartmula(model_folder)


@pytest.mark.parametrize("kept_bytes", [0, 5, 3000, 500_000])
def test_truncated_file_is_named(model_folder, kept_bytes):
    path = model_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(CheckpointCorruptError, match=r"model\.safetensors"):
        load_heartmula(model_folder)


def test_broken_config_is_named(model_folder):
    (model_folder / "config.json").write_text('{"backbone_flavor": ')
    with pytest.raises(CheckpointCorruptError, match=r"config\.json"):
        load_heartmula(model_folder)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"', "[" * 100_000])
def test_config_that_is_no_object_is_corrupt(model_folder, content):
    (model_folder / "config.json").write_text(content)
    with pytest.raises(CheckpointCorruptError, match=r"config\.json"):
        load_heartmula(model_folder)


@pytest.mark.parametrize("weight_map", [None, [], {}, {"backbone.norm.scale": 3}])
def test_index_without_a_weight_map_is_corrupt(model_folder, weight_map):
    (model_folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointCorruptError, match=r"model\.safetensors\.index\.json"):
        load_heartmula(model_folder)


def change_config(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


SIZES = {"num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "embed_dim": 64, "intermediate_dim": 64}
SIZES["max_seq_len"] = 64


@pytest.mark.parametrize(
    "flavor",
    [
        "llama-9000B",
        None,
        3,
        {},
        {**SIZES, "colour": "red"},
        {**SIZES, "num_heads": None},
        {**SIZES, "num_heads": "4"},
        {**SIZES, "num_heads": 5},
        {**SIZES, "num_heads": 0},
        {**SIZES, "num_kv_heads": 3},
        {**SIZES, "embed_dim": -64},
        {**SIZES, "rope_base": "high"},
    ],
)
def test_senseless_flavor_is_refused(model_folder, flavor):
    change_config(model_folder / "config.json", backbone_flavor=flavor)
    with pytest.raises(CheckpointMismatchError, match=str(model_folder / "config.json")):
        load_heartmula(model_folder)


def test_missing_flavor_is_named(model_folder):
    (model_folder / "config.json").write_text('{"decoder_flavor": "llama-300M"}')
    with pytest.raises(CheckpointMismatchError, match=r"config\.json .* lacks 'backbone_flavor'"):
        load_heartmula(model_folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_type": "layer_norm"},
        {"in_channels": 7},
        {"num_quantizers": "8"},
        {"sample_rate": None},
        {"downsample_factors": 3},
        {"codebook_dim": -1},
        {"upsample_factors": [1, 2]},
    ],
)
def test_senseless_codec_config_is_refused(tmp_path, changes):
    folder = shutil.copytree(GOLDEN / "heartcodec", tmp_path / "codec")
    change_config(folder / "config.json", **changes)
    with pytest.raises(CheckpointMismatchError, match=str(folder / "config.json")):
        load_codec_network(folder)


TONES = {"version": "tones-v1", "tone_floor": 4e-2, "noise_floor": 5e-3}


@pytest.mark.parametrize(
    "config",
    [
        {"version": "vqv99"},
        {"version": []},
        {"query": {"colour": "red"}},
        {"feature_extractors": 3},
        {"query": {"dim": 64, "head_dim": 48}},
        TONES,
        {**TONES, "num_groups": 2, "highest_note": 20},
    ],
)
def test_senseless_encoder_config_is_refused(tmp_path, config):
    (tmp_path / "encoder_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointMismatchError, match=str(tmp_path / "encoder_config.json")):
        load_codec_network(GOLDEN / "heartcodec", tmp_path)


def test_tensor_of_another_shape_is_named(model_folder):
    change_config(model_folder / "config.json", muq_dim=256)
    with pytest.raises(CheckpointMismatchError, match=r"muq_linear\.weight"):
        load_heartmula(model_folder)


@pytest.mark.parametrize("change", ["drop", "add"])
def test_missing_and_surplus_tensors_are_named(model_folder, change):
    path = model_folder / "model.safetensors"
    state = load_file(path)
    if change == "drop":
        del state["backbone.norm.scale"]
    else:
        state["backbone.norm.bias"] = torch.zeros(3)
    save_file(state, path)
    with pytest.raises(CheckpointMismatchError, match=r"backbone\.norm\."):
        load_heartmula(model_folder)


def test_codec_names_may_carry_the_decoder_prefix(tmp_path):
    folder = shutil.copytree(GOLDEN / "heartcodec", tmp_path / "codec")
    plain = load_codec_network(folder).state_dict()
    path = folder / "model.safetensors"
    save_file({f"decoder.{name}": tensor for name, tensor in load_file(path).items()}, path)
    prefixed = load_codec_network(folder).state_dict()
    assert all(torch.equal(plain[name], prefixed[name]) for name in plain)


def test_bf16_checkpoint_survives_saving_and_loading(model_folder, tmp_path):
    model = load_heartmula(model_folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    save_model(model, model.config.to_dict(), tmp_path / "saved")
    again = load_heartmula(tmp_path / "saved", dtype=torch.bfloat16)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_model_is_written_into_a_folder_that_exists(model_folder, tmp_path):
    model = load_heartmula(model_folder)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "meta.json").write_text("{}")
    write_model(model, model.config.to_dict(), tmp_path / "saved", torch.bfloat16)
    assert load_file(tmp_path / "saved" / "model.safetensors")["muq_linear.bias"].dtype == torch.bfloat16
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"config.json", "meta.json", "model.safetensors"}


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory) -> Path:
    """A reduced official encoder in the official format: `encoder.safetensors` and `encoder_config.json`."""
    folder = tmp_path_factory.mktemp("HeartCodec-oss-encoder")
    encoder = torch.nn.ModuleDict({"encoder": build_encoder(SMALL_ENCODER)})
    save_file(
        {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}, folder / "encoder.safetensors"
    )
    (folder / "encoder_config.json").write_text(json.dumps(SMALL_ENCODER))
    return folder


def test_encoder_loads_from_the_official_file_names(encoder_folder):
    codec = load_codec_network(GOLDEN / "heartcodec", encoder_folder)
    stored = load_file(encoder_folder / "encoder.safetensors")
    assert all(torch.equal(stored[f"encoder.{name}"], t) for name, t in codec.encoder.state_dict().items())
    assert not codec.training
    assert codec.encoder.window_samples == 714_240


def test_encoder_is_loaded_strictly(encoder_folder, tmp_path):
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    path = folder / "encoder.safetensors"
    state = load_file(path)
    del state["encoder.query.cls_token"]
    save_file(state, path)
    with pytest.raises(CheckpointMismatchError, match=r"query\.cls_token"):
        load_codec_network(GOLDEN / "heartcodec", folder)


MEASURE_PEAK = """
import sys, torch
from heartmula_studio.arch.checkpoints import load_heartmula

def read(key):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])

with torch.device("meta"):
    torch.nn.Embedding(1, 1)  # PyTorch loads what it needs for this when it is first asked

open("/proc/self/clear_refs", "w").write("5")
before = read("VmRSS")
model = load_heartmula(sys.argv[1], dtype=torch.bfloat16)
print(read("VmHWM") - before, sum(2 * p.numel() for p in model.parameters()))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_fp32_file_becomes_bf16_without_a_second_copy(tmp_path):
    flavor = {"num_layers": 6, "num_heads": 8, "num_kv_heads": 4, "embed_dim": 768, "intermediate_dim": 3072}
    flavor["max_seq_len"] = 256
    config = HeartMuLaConfig.from_dict(
        {"backbone_flavor": flavor, "decoder_flavor": {**flavor, "num_layers": 1}, "text_vocab_size": 32_000}
    )
    with torch.device("meta"):
        model = HeartMuLa(config)
    save_model(model.to_empty(device="cpu"), config.to_dict(), tmp_path / "model")
    command = [sys.executable, "-c", MEASURE_PEAK, str(tmp_path / "model")]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak_bytes, bf16_bytes = map(int, measured.stdout.split())
    assert bf16_bytes > 200e6
    assert peak_bytes < 1.25 * bf16_bytes
