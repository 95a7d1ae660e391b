"""Small checkpoints under the official names, in every layout that public files are known to have.

The language model and the decoder are the golden ones, the encoder is the official one with every size reduced.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from heartmula_studio.arch.checkpoints import ASSETS
from heartmula_studio.arch.encoders import build_encoder

GOLDEN = Path(__file__).parent / "golden"
NANO = ASSETS / "nano"
REVISION = "f889dab0532cfa4bf459f2a3367eb6d346b8eeda"
SAVED_BY_HEARTLIB = {"transformers_version": "4.57.0", "torch_dtype": "float32", "dtype": "float32"}
SMALL_ENCODER = {
    "version": "vqv12",
    "query": {"dim": 32, "num_layers": 1, "head_dim": 32, "interval": 2},
    "feature_extractors": {
        "whisper_config": {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
        "wavlm_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "conv_dim": [8] * 7,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 2,
        },
        "muencoder_config": {
            "conv_dim": 2,
            "conformer_config": {
                "hidden_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
            },
        },
    },
}


@dataclass(frozen=True)
class Network:
    """One network's tensors by their official names, and its config."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Network":
        return cls(load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text()))

    def renamed(self, prefix: str) -> "Network":
        return Network({prefix + name: tensor for name, tensor in self.tensors.items()}, self.config)

    def to(self, dtype: torch.dtype) -> "Network":
        """Every number in `dtype`, as `model.half()` or `.bfloat16()` leaves it."""
        cast = {name: t.to(dtype) if t.is_floating_point() else t for name, t in self.tensors.items()}
        return Network(cast, {**self.config, "torch_dtype": str(dtype).removeprefix("torch.")})

    def with_flags(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> "Network":
        """The quantiser's `initted` flags as another version of vector-quantize-pytorch keeps them."""
        flags = {name: t.to(dtype).reshape(shape) for name, t in self.tensors.items() if name.endswith("initted")}
        assert len(flags) == 8
        return Network({**self.tensors, **flags}, self.config)

    def write(self, folder: Path, shards: int = 1, stem: str = "model", config_names: tuple[str, ...] = ()) -> None:
        """As `save_pretrained` does: one file, or shards with an index."""
        folder.mkdir(parents=True, exist_ok=True)
        names, metadata = sorted(self.tensors), {"format": "pt"}
        if shards == 1:
            save_file(dict(self.tensors), folder / f"{stem}.safetensors", metadata)
        else:
            files = {f"{stem}-{i + 1:05}-of-{shards:05}.safetensors": names[i::shards] for i in range(shards)}
            for file, members in files.items():
                save_file({name: self.tensors[name] for name in members}, folder / file, metadata)
            weight_map = {name: file for file, members in files.items() for name in members}
            index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
            (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
        for name in config_names or ("config.json",):
            (folder / name).write_text(json.dumps(self.config))


@dataclass(frozen=True)
class Parts:
    """A base before it is laid out; `texts` holds tokenizer.json and gen_config.json."""

    model: Network
    codec: Network
    encoder: Network
    texts: Path

    def complete_codec(self) -> Network:
        """Decoder and encoder in one network, as the newest heartlib saves and loads it."""
        tensors = {**self.codec.renamed("decoder.").tensors, **self.encoder.tensors}
        return Network(tensors, {**self.codec.config, **SAVED_BY_HEARTLIB, "encoder_config": self.encoder.config})

    def write_texts(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer.json", "gen_config.json"):
            shutil.copy(self.texts / name, folder)


def golden_parts() -> Parts:
    torch.manual_seed(0)
    encoder = torch.nn.ModuleDict({"encoder": build_encoder(SMALL_ENCODER)})
    tensors = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    codec = Network.read(GOLDEN / "heartcodec").with_flags((1,))
    return Parts(Network.read(GOLDEN / "heartmula"), codec, Network(tensors, SMALL_ENCODER), GOLDEN)


def nano_parts() -> Parts:
    """The bundled base as if it were official; it can make, hear and learn songs."""
    codec = Network.read(NANO / "HeartCodec-nano").with_flags((1,))
    encoder = Network.read(NANO / "HeartCodec-nano-encoder")
    return Parts(Network.read(NANO / "HeartMuLa-nano"), codec, encoder, NANO)


def hub_today(parts: Parts, root: Path) -> None:
    """The Hub's repositories of September 2026, downloaded as the cards say."""
    parts.model.write(root / "HeartMuLa-oss-3B-happy-new-year", shards=2)
    parts.codec.write(root / "HeartCodec-oss-20260123", shards=2)
    names = ("config.json", "encoder_config.json")
    parts.encoder.write(root / "HeartCodec-oss-encoder", stem="encoder", config_names=names)
    parts.write_texts(root)


def hub_in_january(parts: Parts, root: Path) -> None:
    parts.model.write(root / "HeartMuLa-oss-3B")
    parts.codec.write(root / "HeartCodec-oss")
    parts.encoder.write(root / "HeartCodec-oss-encoder", stem="encoder", config_names=("encoder_config.json",))
    parts.write_texts(root)


def scalar_flags(parts: Parts, root: Path) -> None:
    """Saved anew with a vector-quantize-pytorch whose flags are scalars."""
    hub_today(parts, root)
    shutil.rmtree(root / "HeartCodec-oss-20260123")
    parts.codec.with_flags((), torch.bool).write(root / "HeartCodec-oss-20260123")


def every_release(parts: Parts, root: Path) -> None:
    """All of them side by side; those that are not to be taken hold other numbers."""
    hub_today(parts, root)
    zeros = Network({name: torch.zeros_like(t) for name, t in parts.codec.tensors.items()}, parts.codec.config)
    zeros.write(root / "HeartCodec-oss")
    zeros.write(root / "HeartCodec-oss-20251201")
    other = Network({name: torch.zeros_like(t) for name, t in parts.model.tensors.items()}, parts.model.config)
    for name in ("HeartMuLa-oss-3B", "HeartMuLa-RL-oss-3B-20260123"):
        other.write(root / name)


def later_release(parts: Parts, root: Path) -> None:
    """Releases of next year beside today's."""
    hub_today(parts, root)
    for old, new in (
        ("HeartMuLa-oss-3B-happy-new-year", "HeartMuLa-oss-3B-20270220"),
        ("HeartCodec-oss-20260123", "HeartCodec-oss-20270110"),
        ("HeartCodec-oss-encoder", "HeartCodec-oss-encoder-20270110"),
    ):
        shutil.copytree(root / old, root / new)
        for path in (root / old).glob("*.safetensors"):
            path.unlink()


def complete_codec_in_shards(parts: Parts, root: Path) -> None:
    """With the encoder's config in a file of its own."""
    parts.model.write(root / "HeartMuLa-oss-3B")
    codec = Network(parts.complete_codec().tensors, parts.codec.config)
    codec.write(root / "HeartCodec-oss-20260123", shards=3)
    (root / "HeartCodec-oss-20260123" / "encoder_config.json").write_text(json.dumps(parts.encoder.config))
    parts.write_texts(root)


def newest_heartlib(parts: Parts, root: Path) -> None:
    """All that the newest heartlib takes: shards, a complete codec, the tokenizer in its repository's folder."""
    parts.model.write(root / "HeartMuLa-oss-3B-happy-new-year", shards=2)
    parts.complete_codec().write(root / "HeartCodec-full")
    parts.write_texts(root / "HeartMuLaGen")


def tokenizer_in_a_folder(parts: Parts, root: Path) -> None:
    hub_today(parts, root)
    (root / "HeartMuLaGen").mkdir()
    for name in ("tokenizer.json", "gen_config.json"):
        (root / name).rename(root / "HeartMuLaGen" / name)


def nested(parts: Parts, root: Path) -> None:
    """`hf download <repository> --local-dir ckpt/<repository>`."""
    tokenizer_in_a_folder(parts, root / "HeartMuLa")


def nested_with_texts_outside(parts: Parts, root: Path) -> None:
    hub_today(parts, root / "HeartMuLa")
    for name in ("tokenizer.json", "gen_config.json"):
        (root / "HeartMuLa" / name).rename(root / name)


def hub_cache(parts: Parts, root: Path) -> None:
    """What `hf download <repository>` fills: links from snapshots to blobs, and an older snapshot beside each."""
    made = root / ".made"
    tokenizer_in_a_folder(parts, made)
    for folder in made.iterdir():
        repo = root / f"models--HeartMuLa--{folder.name}"
        (repo / "blobs").mkdir(parents=True)
        (repo / "snapshots" / REVISION).mkdir(parents=True)
        (repo / "snapshots" / ("0" * 40)).mkdir()
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(REVISION)
        for path in folder.iterdir():
            shutil.move(path, repo / "blobs" / path.name)
            (repo / "snapshots" / REVISION / path.name).symlink_to(f"../../blobs/{path.name}")
    shutil.rmtree(made)


def half_precision(parts: Parts, root: Path) -> None:
    """Copies as people publish them, in one shard and under a name of their own."""
    parts.model.to(torch.float16).write(root / "HeartMuLa-oss-3B-happy-new-year-fp16")
    parts.codec.to(torch.float16).write(root / "HeartCodec-oss-20260123-fp16")
    parts.encoder.to(torch.float16).write(root / "HeartCodec-oss-encoder-fp16")
    parts.write_texts(root)


def bfloat16(parts: Parts, root: Path) -> None:
    parts.model.to(torch.bfloat16).write(root / "HeartMuLa-oss-3B-happy-new-year-bf16", shards=2)
    parts.codec.to(torch.bfloat16).write(root / "HeartCodec-oss-20260123-bf16")
    parts.encoder.to(torch.bfloat16).write(root / "HeartCodec-oss-encoder-bf16", stem="encoder")
    parts.write_texts(root)


def saved_by_heartlib(parts: Parts, root: Path) -> None:
    """`save_pretrained` of each network: `decoder.` names, more keys in each config, one name for all weights."""
    for network, name in (
        (parts.model, "HeartMuLa-oss-3B"),
        (parts.codec.renamed("decoder."), "HeartCodec-oss"),
        (parts.encoder, "HeartCodec-oss-encoder"),
    ):
        Network(network.tensors, {**network.config, **SAVED_BY_HEARTLIB}).write(root / name)
    parts.write_texts(root)


def tags_as_tokens(is_special: bool) -> Callable[[Parts, Path], None]:
    def write(parts: Parts, root: Path) -> None:
        hub_today(parts, root)
        add_tag_tokens(root / "tokenizer.json", is_special)

    return write


def add_tag_tokens(tokenizer: Path, is_special: bool) -> None:
    """Give a tokenizer `<tag>` and `</tag>` as tokens of their own, after all others."""
    values = json.loads(tokenizer.read_text())
    added, vocabulary = values["added_tokens"], values["model"]["vocab"]
    last = max([*vocabulary.values(), *(token["id"] for token in added)])
    for number, mark in enumerate(("<tag>", "</tag>"), start=1):
        added.append({**added[-1], "id": last + number, "content": mark, "special": is_special})
    tokenizer.write_text(json.dumps(values))


LAYOUTS: Mapping[str, Callable[[Parts, Path], None]] = {
    "hub-today": hub_today,
    "hub-in-january": hub_in_january,
    "scalar-flags": scalar_flags,
    "every-release": every_release,
    "later-release": later_release,
    "newest-heartlib": newest_heartlib,
    "complete-codec-in-shards": complete_codec_in_shards,
    "tokenizer-in-a-folder": tokenizer_in_a_folder,
    "nested": nested,
    "nested-with-texts-outside": nested_with_texts_outside,
    "hub-cache": hub_cache,
    "fp16": half_precision,
    "bf16": bfloat16,
    "saved-by-heartlib": saved_by_heartlib,
    "tags-as-special-tokens": tags_as_tokens(is_special=True),
    "tags-as-added-tokens": tags_as_tokens(is_special=False),
}
