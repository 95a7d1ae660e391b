"""Checkpoint folders: finding them, loading them without a second copy in memory, writing them whole or not at all.

Reads heartlib's `ckpt/` layout as it is; the bundled base has the same layout.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn

from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.heartcodec import HeartCodec, HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.json_file import blaming, read_json_object
from heartmula_studio.arch.safetensors_reader import TensorFile
from heartmula_studio.atomic import replaced_folder
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError, CheckpointMissingError

BUNDLED_BASE = "nano"
ASSETS = Path(__file__).parent.parent / "assets"
RECOMMENDED_MODELS = ("HeartMuLa-oss-3B-happy-new-year", "HeartMuLa-RL-oss-3B-20260123", "HeartMuLa-oss-3B")
MODEL_REPO = "HeartMuLa/HeartMuLa-oss-3B-happy-new-year"
CODEC_REPO = "HeartMuLa/HeartCodec-oss-20260123"
ENCODER_REPO = "HeartMuLa/HeartCodec-oss-encoder"
TOKENIZER_REPO = "HeartMuLa/HeartMuLaGen"
DECODER_PREFIX = "decoder."
"""What some HeartCodec checkpoints put in front of every tensor's name."""

ENCODER_FOLDER = "HeartCodec-oss-encoder"


@dataclass(frozen=True)
class BaseFolder:
    """Where the parts of one base model lie."""

    name: str
    model: Path
    codec: Path
    encoder: Path | None
    tokenizer: Path
    gen_config: Path


def find_base(base: str | Path) -> BaseFolder:
    """Locate the parts of a base: the bundled one by its name, any other by a folder in heartlib's `ckpt/` layout.

    Raises CheckpointMissingError naming the part that is not there and the repository that holds it.
    """
    root = ASSETS / BUNDLED_BASE if str(base) == BUNDLED_BASE else Path(base)
    if not root.is_dir():
        raise CheckpointMissingError(
            f"The base model folder {root} does not exist.",
            f"Give {BUNDLED_BASE!r} or a folder that holds HeartMuLa-oss-3B/, HeartCodec-oss/, "
            f"{ENCODER_FOLDER}/, tokenizer.json and gen_config.json.",
        )
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    encoder = pick_folder(root, [name for name in folders if name.startswith("HeartCodec") and "encoder" in name])
    model = pick_folder(root, rank_models(folders))
    codec = pick_folder(root, [name for name in folders if name.startswith("HeartCodec") and "encoder" not in name])
    return BaseFolder(
        name=root.name if model is None or str(base) == BUNDLED_BASE else model.name,
        model=model or require(root / "HeartMuLa-oss-3B", MODEL_REPO, root / "HeartMuLa-oss-3B"),
        codec=codec or require(root / "HeartCodec-oss", CODEC_REPO, root / "HeartCodec-oss"),
        encoder=encoder,
        tokenizer=require(root / "tokenizer.json", TOKENIZER_REPO, root),
        gen_config=require(root / "gen_config.json", TOKENIZER_REPO, root),
    )


def rank_models(folders: list[str]) -> list[str]:
    """Language-model folders, the recommended ones first."""
    models = [name for name in folders if name.startswith("HeartMuLa") and name != "HeartMuLaGen"]
    ranks = {name: rank for rank, name in enumerate(RECOMMENDED_MODELS)}
    return sorted(models, key=lambda name: (ranks.get(name, len(ranks)), name))


def pick_folder(root: Path, names: list[str]) -> Path | None:
    return root / names[0] if names else None


def require(path: Path, repo: str, folder: Path) -> Path:
    """Return `path` if it exists; otherwise say which repository has to be downloaded into `folder`."""
    if not path.exists():
        raise CheckpointMissingError(f"{path} is missing.", download_hint(repo, folder))
    return path


def download_hint(repo: str, folder: Path) -> str:
    return f"Download it: hf download {repo} --local-dir {folder}"


def read_config(folder: Path, repo: str, name: str = "config.json") -> dict[str, Any]:
    """Read a config of a folder that `repo` fills. Raises as `read_json_object`."""
    return read_json_object(folder / name, download_hint(repo, folder))


def read_heartmula_config(folder: Path) -> HeartMuLaConfig:
    """Raises CheckpointMissingError, CheckpointCorruptError or CheckpointMismatchError, naming the file."""
    return HeartMuLaConfig.from_dict(read_config(folder, MODEL_REPO), folder / "config.json")


def read_heartcodec_config(folder: Path) -> HeartCodecConfig:
    """Errors as `read_heartmula_config`."""
    return HeartCodecConfig.from_dict(read_config(folder, CODEC_REPO), folder / "config.json")


def weight_files(folder: Path, repo: str, stem: str = "model") -> list[Path]:
    """The safetensors files of a folder: one file, or the shards that an index names."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return [require(single, repo, folder)]
    weight_map = read_config(folder, repo, index.name).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(f, str) for f in weight_map.values()):
        raise CheckpointCorruptError(f"{index} has no weight_map that names files.", download_hint(repo, folder))
    return [require(folder / Path(shard).name, repo, folder) for shard in sorted(set(weight_map.values()))]


def load_heartmula(
    folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> HeartMuLa:
    """Load the language model of one folder in `dtype`, reading each weight once, straight into its final place.

    Raises CheckpointMissingError, CheckpointCorruptError or CheckpointMismatchError, naming the file.
    """
    folder = Path(folder)
    config = read_heartmula_config(folder)
    with blaming(folder / "config.json"), torch.device("meta"):
        model = HeartMuLa(config)
    fill_from_files(model, weight_files(folder, MODEL_REPO), device, dtype)
    return model.eval()


def load_heartcodec(
    codec_folder: str | Path, encoder_folder: str | Path | None = None, device: str | torch.device = "cpu"
) -> HeartCodec:
    """Load the codec's decoder and, if a folder is given, its encoder. Always float32, eval mode.

    Decoder names may carry a `decoder.` prefix; encoder names must match exactly. Errors as `load_heartmula`.
    """
    codec_folder = Path(codec_folder)
    config = read_heartcodec_config(codec_folder)
    with blaming(codec_folder / "config.json"), torch.device("meta"):
        codec = HeartCodec(config)
    fill_from_files(codec, weight_files(codec_folder, CODEC_REPO), device, torch.float32, strip_prefix=DECODER_PREFIX)
    if encoder_folder is not None:
        codec.encoder = load_encoder(Path(encoder_folder), device)
    return codec.eval()


def load_encoder(folder: Path, device: str | torch.device) -> nn.Module:
    """Load a codec encoder from `encoder.safetensors` (or `model.safetensors`) and `encoder_config.json`."""
    names = ("encoder_config.json", "config.json")
    name = next((name for name in names if (folder / name).is_file()), names[0])
    config = read_config(folder, ENCODER_REPO, name)
    with blaming(folder / name), torch.device("meta"):
        holder = nn.ModuleDict({"encoder": build_encoder(config)})
    stem = "model" if (folder / "model.safetensors").is_file() else "encoder"
    fill_from_files(holder, weight_files(folder, ENCODER_REPO, stem), device, torch.float32)
    return holder["encoder"]


def fill_from_files(
    module: nn.Module, files: list[Path], device: str | torch.device, dtype: torch.dtype, strip_prefix: str = ""
) -> None:
    """Replace the meta tensors of `module` by those of `files`; names and shapes must match exactly."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    state: dict[str, Tensor] = {}
    for path in files:
        with TensorFile(path) as file:
            renamed = {name.removeprefix(strip_prefix): name for name in file.shapes}
            check_shapes(path, {short: file.shapes[name] for short, name in renamed.items()}, expected)
            state.update((short, file.read(name, device, dtype)) for short, name in renamed.items())
    hint = "Download the folder again, or give the config.json that belongs to these weights."
    check_complete(files[0].parent, state.keys(), expected.keys(), hint)
    module.load_state_dict(state, assign=True)
    for name, tensor in module.named_buffers():
        assert not tensor.is_meta, f"buffer {name} is neither stored nor built on the CPU"
    module.to(device)


def check_shapes(path: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointMismatchError naming the first tensor that the network does not have in that shape."""
    for name, shape in found.items():
        if expected.get(name) != shape:
            wanted = f"shape {expected[name]}" if name in expected else "no such tensor"
            raise CheckpointMismatchError(
                f"{path} holds {name} with shape {shape}, but the network has {wanted}.",
                "The file and its config.json belong to different models; download both from the same repository.",
            )


def check_complete(folder: Path, found: Set[str], expected: Set[str], hint: str) -> None:
    """Raise CheckpointMismatchError naming the first tensor that no file of `folder` holds."""
    if missing := sorted(expected - found):
        raise CheckpointMismatchError(
            f"{folder} lacks {len(missing)} of {len(expected)} tensors, first {missing[0]}.", hint
        )


def save_model(
    module: nn.Module, config: Mapping[str, Any], folder: str | Path, dtype: torch.dtype | None = None
) -> None:
    """Do as `write_model`, in a folder that appears whole or not at all, in place of any that is there."""
    with replaced_folder(Path(folder)) as temporary:
        write_model(module, config, temporary, dtype)


def write_model(module: nn.Module, config: Mapping[str, Any], folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write weights (sharded above 5 GB) and `config.json` into a folder that exists.

    `dtype` casts floating-point weights on the way; None keeps them.
    """
    write_weights(module.state_dict(), config, folder, dtype)


def write_weights(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path, dtype: torch.dtype | None = None
) -> None:
    """Do as `write_model`, with the weights of a module by name."""
    state = {name: cast_floating(tensor, dtype) for name, tensor in weights.items()}
    save_torch_state_dict(state, folder, max_shard_size="5GB")
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def cast_floating(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
