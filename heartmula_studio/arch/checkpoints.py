"""Checkpoint folders: finding them, loading them without a second copy in memory, writing them whole or not at all.

Reads heartlib's `ckpt/` layout as it is; the bundled base has the same layout.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn

from heartmula_studio.arch.codec_network import CodecNetwork
from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.heartcodec import HeartCodec, HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.official import (
    CODEC_FOLDER,
    CODEC_REPO,
    ENCODER_FOLDER,
    ENCODER_REPO,
    MODEL_REPO,
    TOKENIZER_REPO,
)
from heartmula_studio.arch.pairing import require_encoder_of_codec
from heartmula_studio.arch.stored_weights import StoredNetwork, StoredTensor, stored_tensors, unwrapped
from heartmula_studio.arch.tone_codec import DECODER as TONES
from heartmula_studio.arch.tone_codec import ToneCodec, ToneCodecConfig
from heartmula_studio.arch.unfilled import without_weights
from heartmula_studio.arch.window_encoder import WindowEncoder
from heartmula_studio.errors import CheckpointCorruptError, CheckpointError, CheckpointMissingError
from heartmula_studio.files.atomic import replaced_folder
from heartmula_studio.files.json_file import config_errors_name, read_json_object
from heartmula_studio.settings import BUNDLED_BASE

ASSETS = Path(__file__).parent.parent / "assets"
ENCODER_PREFIX = "encoder."
DECODER_PREFIX = "decoder."
"""In front of every decoder tensor's name in codecs that newer versions of heartlib have saved."""

DECODER_NAMES = (DECODER_PREFIX, "flow_matching.", "scalar_model.", "vq_embed.", "level_network.")
TOKENIZER_FOLDER = "HeartMuLaGen"
HUB_CACHE = "models--"
NESTED_FOLDER = "HeartMuLa"
"""The organisation's name on the Hub: where `hf download` to `ckpt/<repository>` puts all its models."""

RELEASE_DATES = {"HeartMuLa-oss-3B-happy-new-year": 20260213, "HeartMuLa-oss-3B": 20260114, "HeartCodec-oss": 20260114}
"""Of the releases whose names hold none; the newest is the recommended one."""


@dataclass(frozen=True)
class BaseFolder:
    """Where the parts of one base model lie; a codec that holds its own encoder is both `codec` and `encoder`."""

    name: str
    model: Path
    codec: Path
    encoder: Path | None
    tokenizer: Path
    gen_config: Path


NEEDED = {"model": MODEL_REPO, "codec": CODEC_REPO, "tokenizer": TOKENIZER_REPO, "gen_config": TOKENIZER_REPO}
"""The parts without which nothing works, and the repositories that hold them."""


def find_base(base: str | Path) -> BaseFolder:
    """Locate the parts of a base, all of which are there but for the encoder: see `survey_base`.

    Raises CheckpointMissingError naming the part that is not there and the repository that holds it.
    """
    found = survey_base(base)
    for part in NEEDED:
        require_part(found, part)
    return found


def survey_base(base: str | Path) -> BaseFolder:
    """Locate the parts of a base: the bundled one by its name, any other by a folder in heartlib's `ckpt/` layout.

    Parts may also lie in a `HeartMuLa/` inside, the tokenizer in `HeartMuLaGen/`, and the folder may be a cache of the
    Hugging Face Hub. Of several releases the newest is taken. Parts that are missing get the path they belong at.
    Raises CheckpointMissingError where the folder does not exist.
    """
    root = root_of(base)
    if not root.is_dir():
        raise CheckpointMissingError(
            f"The base model folder {root} does not exist.",
            f"Give {BUNDLED_BASE!r} or a folder that holds HeartMuLa-oss-3B/, HeartCodec-oss/, "
            f"{ENCODER_FOLDER}/, tokenizer.json and gen_config.json.",
        )
    parts = part_folders(root)
    model = newest(parts, is_model)
    codec = newest(parts, is_codec) or root / CODEC_FOLDER
    text_folders = [root, root / NESTED_FOLDER, *(folder for name, folder in parts if name == TOKENIZER_FOLDER)]
    return BaseFolder(
        name=root.name if model is None or str(base) == BUNDLED_BASE else release_name(model),
        model=model or root / "HeartMuLa-oss-3B",
        codec=codec,
        encoder=codec if holds_encoder(codec) else newest(parts, is_encoder),
        tokenizer=find_file(text_folders, "tokenizer.json"),
        gen_config=find_file(text_folders, "gen_config.json"),
    )


def root_of(base: str | Path) -> Path:
    return ASSETS / BUNDLED_BASE if str(base) == BUNDLED_BASE else Path(base)


def find_transcriptor(base: str | Path) -> Path | None:
    return newest(part_folders(root_of(base)), lambda name, _: name.startswith("HeartTranscriptor"))


def part_folders(root: Path) -> list[tuple[str, Path]]:
    """Folders in `root` and in its `HeartMuLa/`, each with its release's name; of a Hub cache, the snapshots in use."""
    folders = [path for place in (root, root / NESTED_FOLDER) if place.is_dir() for path in sorted(place.iterdir())]
    found = [used_snapshot(path) if path.name.startswith(HUB_CACHE) else path for path in folders if path.is_dir()]
    return [(release_name(path), path) for path in found]


def used_snapshot(repo: Path) -> Path:
    """The folder that the Hub's cache reads a repository's files from: of its main branch, else the last one made."""
    main = repo / "refs" / "main"
    used = main.read_text(errors="replace").strip() if main.is_file() else ""
    snapshots = [path for path in (repo / "snapshots").glob("*") if path.is_dir()]
    return max(
        snapshots, key=lambda path: (path.name == used, path.stat().st_mtime), default=repo / "snapshots" / "main"
    )


def hub_cache_of(folder: Path) -> Path | None:
    """The repository's folder in a Hub cache that `folder` is a snapshot of, or None."""
    repo = folder.parent.parent
    return repo if folder.parent.name == "snapshots" and repo.name.startswith(HUB_CACHE) else None


def release_name(folder: Path) -> str:
    repo = hub_cache_of(folder)
    return repo.name.rpartition("--")[2] if repo else folder.name


def is_model(name: str, folder: Path) -> bool:
    if name == NESTED_FOLDER:  # a model itself, or what holds all parts
        return (folder / "config.json").is_file()
    return name.startswith("HeartMuLa") and name != TOKENIZER_FOLDER


def is_codec(name: str, _: Path) -> bool:
    return name.startswith("HeartCodec") and "encoder" not in name


def is_encoder(name: str, _: Path) -> bool:
    return name.startswith("HeartCodec") and "encoder" in name


def newest(parts: list[tuple[str, Path]], belongs: Callable[[str, Path], bool]) -> Path | None:
    """The folder of the newest release among those that belong; releases nobody knows the date of come last."""
    ranked = sorted((-release_date(name), name, folder) for name, folder in parts if belongs(name, folder))
    return ranked[0][2] if ranked else None


def release_date(name: str) -> int:
    """20260123 of "HeartCodec-oss-20260123", the known date of an undated release or a copy of it, else 0."""
    if dated := re.search(r"20\d{6}", name):
        return int(dated[0])
    return next((date for known, date in RELEASE_DATES.items() if name.startswith(known)), 0)


def find_file(folders: list[Path], name: str) -> Path:
    return next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)


def holds_encoder(codec: Path) -> bool:
    """Whether a codec's folder holds its encoder too. A folder that cannot be read counts as not."""
    try:
        return any(name.startswith(ENCODER_PREFIX) for name in encoder_tensors(codec))
    except (CheckpointError, OSError):
        return False


def encoder_target(codec: Path) -> Path:
    """Where an encoder that is downloaded later would be found: beside the codec."""
    return (hub_cache_of(codec) or codec).parent / ENCODER_FOLDER


def require_part(base: BaseFolder, part: str) -> None:
    """Raise CheckpointMissingError unless a part of `NEEDED` is there."""
    path = getattr(base, part)
    require(path, NEEDED[part], path if part in ("model", "codec") else path.parent)


def require(path: Path, repo: str, folder: Path) -> Path:
    """Return `path` if it exists; otherwise say which repository has to be downloaded into `folder`."""
    if path.exists():
        return path
    hint = download_hint(repo, folder)
    if begun := unfinished_downloads(folder):
        size = f"{begun[0].stat().st_size:,} bytes lie in {begun[0].name}"
        raise CheckpointMissingError(f"{path} is missing: its download has not finished ({size}).", hint)
    raise CheckpointMissingError(f"{path} is missing.", hint)


def unfinished_downloads(folder: Path) -> list[Path]:
    """What `hf download` has begun for a folder; the same command again goes on from there."""
    repo = hub_cache_of(folder)
    places = [folder, folder / ".cache" / "huggingface" / "download", *([repo / "blobs"] if repo else [])]
    return sorted(path for place in places for path in place.glob("*.incomplete"))


def download_hint(repo: str, folder: Path) -> str:
    return f"Download it: hf download {repo} --local-dir {folder}"


def read_config(folder: Path, repo: str, name: str = "config.json") -> dict[str, Any]:
    """Read a config of a folder that `repo` fills. Raises as `read_json_object`."""
    return read_json_object(folder / name, download_hint(repo, folder))


def read_heartmula_config(folder: Path) -> HeartMuLaConfig:
    """Raises CheckpointMissingError, CheckpointCorruptError or CheckpointMismatchError, naming the file."""
    return HeartMuLaConfig.from_dict(read_config(folder, MODEL_REPO), folder / "config.json")


def read_codec_config(folder: Path) -> HeartCodecConfig | ToneCodecConfig:
    """Errors as `read_heartmula_config`."""
    values, path = read_config(folder, CODEC_REPO), folder / "config.json"
    decoder = values.get("decoder")
    if decoder == TONES:
        return ToneCodecConfig.from_dict(values, path)
    with config_errors_name(path):
        if isinstance(decoder, str):
            raise ValueError(f"its decoder {decoder!r} is unknown; known is {TONES!r}")
    return HeartCodecConfig.from_dict(values, path)


def weight_files(folder: Path, repo: str, stem: str = "model") -> list[Path]:
    """The safetensors files of a folder: one file, or the shards that an index names."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return [require(single, repo, folder)]
    weight_map = read_config(folder, repo, index.name).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(f, str) for f in weight_map.values()):
        raise CheckpointCorruptError(f"{index} has no weight_map that names files.", download_hint(repo, folder))
    return [require(folder / Path(shard).name, repo, folder) for shard in sorted(set(weight_map.values()))]


def open_heartmula(folder: Path) -> StoredNetwork[HeartMuLa]:
    """Describe the language model of a folder, reading its config and the headers of its files.

    Raises CheckpointMissingError, CheckpointCorruptError or CheckpointMismatchError, naming the file.
    """
    config = read_heartmula_config(folder)
    with config_errors_name(folder / "config.json"), without_weights():
        model = HeartMuLa(config)
    return StoredNetwork(model, folder, stored_tensors(weight_files(folder, MODEL_REPO), unwrapped))


def open_decoder(folder: Path) -> StoredNetwork[CodecNetwork]:
    """The same for the codec without its encoder."""
    config = read_codec_config(folder)
    with config_errors_name(folder / "config.json"), without_weights():
        codec = ToneCodec(config) if isinstance(config, ToneCodecConfig) else HeartCodec(config)
    return StoredNetwork(codec, folder, decoder_tensors(folder))


class EncoderHolder(nn.Module):
    """An encoder under the name that it has in a codec."""

    def __init__(self, encoder: WindowEncoder):
        super().__init__()
        self.encoder = encoder


def open_encoder(folder: Path) -> StoredNetwork[EncoderHolder]:
    """The same for a codec's encoder. See `read_encoder_config`."""
    config, path = read_encoder_config(folder)
    with config_errors_name(path), without_weights():
        holder = EncoderHolder(build_encoder(config))
    return StoredNetwork(holder, folder, encoder_tensors(folder))


def decoder_tensors(folder: Path) -> dict[str, StoredTensor]:
    """A codec's tensors but for its encoder's, by the names of the network. Raises as `open_decoder`."""

    def name_of(stored: str) -> str | None:
        return None if stored.startswith(ENCODER_PREFIX) else stored.removeprefix(DECODER_PREFIX)

    return stored_tensors(weight_files(folder, CODEC_REPO), name_of)


def encoder_tensors(folder: Path) -> dict[str, StoredTensor]:
    """An encoder's tensors, from `encoder.safetensors` if there is one, else those beside a decoder's."""

    def name_of(stored: str) -> str | None:
        return None if stored.startswith(DECODER_NAMES) else stored

    is_named_encoder = (folder / "encoder.safetensors").is_file() or not any(folder.glob("model.safetensors*"))
    return stored_tensors(weight_files(folder, ENCODER_REPO, "encoder" if is_named_encoder else "model"), name_of)


def read_encoder_config(folder: Path) -> tuple[dict[str, Any], Path]:
    """The encoder's config and its file: `encoder_config.json`, or a `config.json` of its own or of a whole codec."""
    names = ("encoder_config.json", "config.json")
    name = next((name for name in names if (folder / name).is_file()), names[0])
    values = read_config(folder, ENCODER_REPO, name)
    inner = values.get("encoder_config")
    return (inner if isinstance(inner, dict) else values), folder / name


def load_heartmula(
    folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> HeartMuLa:
    """Load the language model of one folder in `dtype`, without a second copy in memory. Raises as `open_heartmula`."""
    stored = open_heartmula(Path(folder))
    stored.load(device, dtype)
    return stored.module.eval()


def load_codec_network(
    codec_folder: str | Path, encoder_folder: str | Path | None = None, device: str | torch.device = "cpu"
) -> CodecNetwork:
    """Load the codec's decoder and, if a folder is given, its encoder. Always float32, eval mode.

    Raises as `open_decoder` and `open_encoder`.
    """
    decoder = open_decoder(Path(codec_folder))
    decoder.load(device, torch.float32)
    codec = decoder.module
    if encoder_folder is not None:
        encoder = open_encoder(Path(encoder_folder))
        require_encoder_of_codec(encoder.module.encoder.feature_width, codec.config)
        encoder.load(device, torch.float32)
        codec.encoder = encoder.module.encoder
    return codec.eval()


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
