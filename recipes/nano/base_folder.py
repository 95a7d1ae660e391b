"""Assemble a base-model folder in heartlib's layout from the training states of the recipe."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import load_heartmula, save_model
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.files.atomic import replaced_file
from recipes.nano.codeword_start import start_from_codewords
from recipes.nano.manifest import read_manifest
from recipes.nano.sizes import CODEC, ENCODER, GEN_CONFIG, MODEL
from recipes.nano.text_tokenizer import train_text_tokenizer

MODEL_FOLDER, CODEC_FOLDER, ENCODER_FOLDER = "HeartMuLa-nano", "HeartCodec-nano", "HeartCodec-nano-encoder"
LEVEL_NETWORK, TUNED_LEVEL_NETWORK = "level_network.pt", "tuned_level_network.pt"


def trained_state(path: Path) -> dict[str, Tensor]:
    """The network's tensors in what a training of ours keeps, on the CPU wherever it ran."""
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


def write_trained_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write what `trained_state` reads."""
    with replaced_file(path) as temporary:
        torch.save({"model": dict(state)}, temporary)


def load_tokenizer(
    work: Path, level_networks: Sequence[str] = (TUNED_LEVEL_NETWORK, LEVEL_NETWORK)
) -> tuple[ToneEncoder, ToneCodec]:
    """The encoder, and a codec with the quantiser and the first network for levels that is there, if any; all fixed."""
    state = trained_state(work / "tokenizer.pt")
    encoder, codec = ToneEncoder(ENCODER), ToneCodec(CODEC)
    encoder.load_state_dict(part_of(state, "encoder."))
    codec.vq_embed.load_state_dict(part_of(state, "quantiser."))
    if trained := [work / name for name in level_networks if (work / name).is_file()]:
        codec.level_network.load_state_dict(trained_state(trained[0]))
    return encoder.eval(), codec.requires_grad_(False).eval()


def write_codec(work: Path, base: Path, dtype: torch.dtype) -> None:
    """Write codec and encoder folders from `tokenizer.pt` and what is there of the network for levels."""
    encoder, codec = load_tokenizer(work)
    save_model(codec, codec.config.to_dict(), base / CODEC_FOLDER, dtype)
    save_model(nn.ModuleDict({"encoder": encoder}), ENCODER, base / ENCODER_FOLDER, dtype)


def part_of(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def write_untrained_model(work: Path, base: Path) -> None:
    """Write the text tokenizer, `gen_config.json` and a language model that has seen no music yet."""
    base.mkdir(parents=True, exist_ok=True)
    records = read_manifest(work / "manifest.jsonl")
    train_text_tokenizer((", ".join(record["tags"]) for record in records), base / "tokenizer.json")
    (base / "gen_config.json").write_text(json.dumps(GEN_CONFIG, indent=1) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    model = HeartMuLa(MODEL)
    model.initialise()
    start_from_codewords(model, load_tokenizer(work)[1].quantiser)
    save_model(model, MODEL.to_dict(), base / MODEL_FOLDER)


def write_trained_model(model_folder: Path, words: Path, base: Path, dtype: torch.dtype | None = None) -> None:
    """Write a language model, and the tokenizer and `gen_config.json` of the folder `words`, by whose ids it learnt."""
    base.mkdir(parents=True, exist_ok=True)
    model = load_heartmula(model_folder)
    save_model(model, model.config.to_dict(), base / MODEL_FOLDER, dtype)
    for name in ("tokenizer.json", "gen_config.json"):
        shutil.copyfile(words / name, base / name)
