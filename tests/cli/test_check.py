"""`check`: what it calls fine loads, what it refuses fails with the same words, files are named for what they are."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.heartcodec import HeartCodec, HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.official import ENCODER_REPO, TRANSCRIPTOR_REPO
from heartmula_studio.cli import main
from heartmula_studio.errors import CheckpointError
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.settings import Settings
from tests.official_files import golden_parts, hub_today

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 15776325632\n"
MODEL, CODEC, ENCODER = "HeartMuLa-oss-3B-happy-new-year", "HeartCodec-oss-20260123", "HeartCodec-oss-encoder"
SHARD = f"{MODEL}/model-00001-of-00002.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    hub_today(golden_parts(), root)
    return root


@pytest.fixture
def ckpt(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "ckpt")


@pytest.fixture
def check(capsys) -> Callable[[Path], tuple[int, dict]]:
    def run(folder: Path) -> tuple[int, dict]:
        exit_code = main(["check", str(folder), "--json"])
        return exit_code, json.loads(capsys.readouterr().out)

    return run


def load(folder: Path) -> None:
    """Everything that songs and training need of a base."""
    Engine.load(folder, "cpu")
    Runtime.of(Settings.load({"HEARTMULA_BASE_MODEL": str(folder)})).load_codec()


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(path)
    change(state)
    save_file(state, path)


def rewrite_header(path: Path, change: Callable[[dict], object]) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content[8 + length :])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def nest_header(path: Path) -> None:
    header = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def swap_extents(header: dict) -> None:
    """Give two tensors of one size the same place."""
    first, second = [entry for entry in header.values() if entry.get("shape") == [32]][:2]
    second["data_offsets"] = first["data_offsets"]


def as_f8(header: dict) -> None:
    """Four numbers of 8 bits where there was one of 32."""
    entry = next(entry for entry in header.values() if entry.get("dtype") == "F32")
    entry.update(dtype="F8_E4M3", shape=[*entry["shape"], 4])


def shard_of(folder: Path, name: str) -> Path:
    return folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]


def unfinished(root: Path) -> None:
    (root / SHARD).unlink()
    begun = root / MODEL / ".cache" / "huggingface" / "download" / "x9Q=.4d7a.incomplete"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(bytes(1000))


def in_config(path: str, **changes) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).write_text(json.dumps({**json.loads((root / path).read_text()), **changes}))

    return change


def zeros(name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Callable[[dict], None]:
    return lambda state: state.update({name: torch.zeros(shape, dtype=dtype)})


def as_folder(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).unlink()
        (root / name).mkdir()

    return change


NORM = "backbone.norm.scale"
DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    # what happens to the folder, the part that then does not fit, and what is said of it
    "cut off": (lambda root: cut(root / SHARD), "language model", "is truncated"),
    "empty": (lambda root: (root / SHARD).write_bytes(b""), "language model", "is empty"),
    "LFS pointer": (lambda root: (root / SHARD).write_text(LFS_POINTER), "language model", "is a Git LFS pointer"),
    "LFS tokenizer": (lambda root: (root / "tokenizer.json").write_text(LFS_POINTER), "tokenizer", "Git LFS pointer"),
    "LFS config": (lambda root: (root / CODEC / "config.json").write_text(LFS_POINTER), "codec", "Git LFS pointer"),
    "unfinished": (unfinished, "language model", "its download has not finished (1,000 bytes"),
    "no shard": (lambda root: (root / SHARD).unlink(), "language model", "model-00001-of-00002.safetensors is missing"),
    "shard as a folder": (as_folder(SHARD), "language model", "model-00001-of-00002.safetensors cannot be read"),
    "config as a folder": (as_folder(f"{CODEC}/config.json"), "codec", "config.json is not valid JSON"),
    "no model": (lambda root: shutil.rmtree(root / MODEL), "language model", "HeartMuLa-oss-3B is missing"),
    "no codec": (lambda root: shutil.rmtree(root / CODEC), "codec", "HeartCodec-oss is missing"),
    "no tokenizer": (lambda root: (root / "tokenizer.json").unlink(), "tokenizer", "tokenizer.json is missing"),
    "no gen_config": (lambda root: (root / "gen_config.json").unlink(), "tokenizer", "gen_config.json is missing"),
    "no encoder weights": (
        lambda root: (root / ENCODER / "encoder.safetensors").unlink(),
        *("encoder", "encoder.safetensors is missing"),
    ),
    "other sizes": (in_config(f"{MODEL}/config.json", muq_dim=256), "language model", "muq_linear.weight"),
    "no sizes": (lambda root: (root / MODEL / "config.json").write_text("{}"), "language model", "config.json"),
    "unknown flavour": (in_config(f"{MODEL}/config.json", backbone_flavor="llama-900B"), "language model", "900B"),
    "count as text": (in_config(f"{MODEL}/config.json", audio_num_codebooks="8"), "language model", "config.json"),
    "no quantisers": (in_config(f"{CODEC}/config.json", num_quantizers=0), "codec", "config.json"),
    "nested header": (lambda root: nest_header(root / SHARD), "language model", "not a whole safetensors file"),
    "8-bit floats": (lambda root: rewrite_header(root / SHARD, as_f8), "language model", "as F8_E4M3"),
    "integers": (
        lambda root: change_tensors(shard_of(root / MODEL, NORM), zeros(NORM, (96,), torch.int32)),
        *("language model", "backbone.norm.scale as I32"),
    ),
    "surplus": (lambda root: change_tensors(root / SHARD, zeros("x", (1,))), "language model", "has no such tensor"),
    "missing": (
        lambda root: change_tensors(root / ENCODER / "encoder.safetensors", lambda s: s.pop("encoder.query.cls_token")),
        *("encoder", "lacks 1 of"),
    ),
    "overlap": (
        lambda root: rewrite_header(root / CODEC / "model-00001-of-00002.safetensors", swap_extents),
        *("codec", "overlaps another tensor's"),
    ),
    "guidance as text": (in_config("gen_config.json", cfg_scale="2"), "tokenizer", "cfg_scale"),
    "too much guidance": (in_config("gen_config.json", cfg_scale=11), "tokenizer", "cfg_scale"),
    "no temperature": (in_config("gen_config.json", temperature=0), "tokenizer", "temperature"),
    "too hot in styles": (in_config("gen_config.json", style_temperature=6), "tokenizer", "style_temperature in"),
    "no decoding guidance": (in_config(f"{CODEC}/config.json", guidance=0.5), "codec", "guidance is 0.5"),
    "another codec": (in_config("gen_config.json", audio_eos_id=100), "together", "do not belong together"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_check_refuses_fails_to_load_with_the_same_words(ckpt, check, damage):
    spoil, role, said = DAMAGES[damage]
    spoil(ckpt)
    exit_code, report = check(ckpt)
    (part,) = [part for part in report["parts"] if part["state"] != "fits"]
    assert (part["role"], report["usable"]) == (role, False)
    assert said in part["error"]["message"]
    with pytest.raises(CheckpointError) as caught:
        load(ckpt)
    assert (caught.value.message, caught.value.hint) == (part["error"]["message"], part["error"]["hint"])
    assert exit_code == caught.value.exit_code == 4


def test_a_whole_folder_is_described_part_by_part(ckpt, check):
    exit_code, report = check(ckpt)
    assert (exit_code, report["usable"], report["can_tokenize"], report["base"]) == (0, True, True, MODEL)
    roles = {part["role"]: part for part in report["parts"]}
    assert list(roles) == ["language model", "codec", "encoder", "tokenizer", "together"]
    assert roles["language model"]["parameters"] == {"F32": 546_016}
    assert roles["language model"]["path"] == str(ckpt / MODEL)


def test_without_an_encoder_songs_can_be_made_and_its_repository_is_named(ckpt, check):
    shutil.rmtree(ckpt / ENCODER)
    exit_code, report = check(ckpt)
    assert (exit_code, report["usable"], report["can_tokenize"]) == (0, True, False)
    (missing,) = [part for part in report["parts"] if part["state"] == "missing"]
    assert missing["error"]["hint"] == f"Download it: hf download {ENCODER_REPO} --local-dir {ckpt / ENCODER}"
    Engine.load(ckpt, "cpu")


def test_a_transcriptor_is_named_and_never_in_the_way(ckpt, check):
    (ckpt / "HeartTranscriptor-oss").mkdir()
    exit_code, report = check(ckpt)
    (part,) = [part for part in report["parts"] if part["role"] == "transcriptor"]
    assert (exit_code, part["state"]) == (0, "missing")
    assert TRANSCRIPTOR_REPO in part["error"]["hint"]
    save_file({"model.encoder.layer_norm.weight": torch.ones(3)}, ckpt / "HeartTranscriptor-oss" / "model.safetensors")
    assert check(ckpt)[1]["parts"][4]["parameters"] == {"F32": 3}


def test_differences_are_listed_tensor_by_tensor_with_their_total(ckpt, capsys, check):
    shard = shard_of(ckpt / MODEL, "audio_head")
    change_tensors(ckpt / SHARD, lambda state: [state.pop(name) for name in list(state)[:12]])
    change_tensors(shard, zeros("audio_head", (7, 64, 9)))
    (part,) = [part for part in check(ckpt)[1]["parts"] if part["state"] == "unusable"]
    first = part["differences"][0]
    assert first == {
        "name": "audio_head",
        "file": str(shard),
        "found": "F32 [7, 64, 9]",
        "expected": "floats [7, 64, 134]",
    }
    assert len(part["differences"]) == part["num_differences"] > 11
    assert main(["check", str(ckpt)]) == 4
    shown = capsys.readouterr().out
    assert "audio_head: found F32 [7, 64, 9], expected floats [7, 64, 134]" in shown
    assert f"… and {part['num_differences'] - 10} more, {part['num_differences']} in all" in shown


def test_nano_is_fine(capsys):
    assert main(["check", "nano"]) == 0
    assert capsys.readouterr().out.endswith("This base can be used.\n")


def test_a_folder_that_does_not_exist(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 4
    assert "nowhere does not exist" in capsys.readouterr().err


def write_sparse(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """A safetensors file of full size that takes no room: a header, and a hole where the numbers belong."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        shape = [1] if name.endswith("initted") else list(tensor.shape)
        dtype = "F32" if tensor.is_floating_point() or tensor.dtype == torch.bool else "I64"
        size = tensor.numel() * (4 if dtype == "F32" else 8)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    encoded = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.truncate(8 + len(encoded) + end)


def test_official_sizes_are_checked_without_reading_their_24_gigabytes(tmp_path, whole, check):
    """The holes would read as 24 GB of zeros; nothing but the headers may be asked for."""
    sizes = {"backbone_flavor": "llama-3B", "decoder_flavor": "llama-300M"}
    with torch.device("meta"):
        model, codec = HeartMuLa(HeartMuLaConfig.from_dict(sizes)), HeartCodec(HeartCodecConfig.from_dict({}))
        encoder = torch.nn.ModuleDict({"encoder": build_encoder({})})
    for folder, stem, network, config in (
        (MODEL, "model", model, sizes),
        (CODEC, "model", codec, {}),
        (ENCODER, "encoder", encoder, {"version": "vqv12"}),
    ):
        write_sparse(tmp_path / folder / f"{stem}.safetensors", network.state_dict())
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
    shutil.copy(whole / "tokenizer.json", tmp_path)
    shutil.copy(whole / "gen_config.json", tmp_path)
    in_config("gen_config.json", audio_eos_id=8193)(tmp_path)
    exit_code, report = check(tmp_path)
    assert exit_code == 0
    sizes_gb = [round(part["size_bytes"] / 1e9, 1) for part in report["parts"][:3]]
    assert sizes_gb == [15.8, 6.6, 2.1]
    assert report["parts"][2]["parameters"]["F32"] == 537_134_928
