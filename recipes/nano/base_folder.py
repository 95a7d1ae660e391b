"""Assemble a base-model folder in heartlib's layout from the training states of the recipe."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import load_heartmula, save_model
from heartmula_studio.arch.flow_matching import FlowMatching
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.mel_encoder import MelEncoder
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.files.atomic import replaced_file
from recipes.nano.codeword_start import start_from_codewords
from recipes.nano.manifest import read_manifest
from recipes.nano.sizes import CODEC, ENCODER, FLOW
from recipes.nano.text_tokenizer import train_text_tokenizer

MODEL_FOLDER, CODEC_FOLDER, ENCODER_FOLDER = "HeartMuLa-nano", "HeartCodec-nano", "HeartCodec-nano-encoder"


def trained_state(path: Path) -> dict[str, Tensor]:
    """The network's tensors in what a training of ours keeps, on the CPU wherever it ran."""
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


def write_trained_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write what `trained_state` reads."""
    with replaced_file(path) as temporary:
        torch.save({"model": dict(state)}, temporary)


def load_tokenizer(work: Path) -> tuple[MelEncoder, FlowMatching]:
    """The trained encoder, and a flow matching with the trained quantiser and random weights else; both fixed."""
    state = trained_state(work / "tokenizer.pt")
    encoder, flow = MelEncoder(ENCODER), FlowMatching(FLOW)
    encoder.load_state_dict(part_of(state, "encoder."))
    flow.vq_embed.load_state_dict(part_of(state, "quantiser."))
    flow.vq_embed.requires_grad_(False).eval()
    return encoder.requires_grad_(False).eval(), flow


def write_codec(work: Path, base: Path, dtype: torch.dtype) -> None:
    """Write codec and encoder folders from `scalar_codec.pt`, `tokenizer.pt` and, once it is trained, `flow.pt`."""
    codec = HeartCodec(CODEC)
    codec.scalar_model.load_state_dict(trained_state(work / "scalar_codec.pt"))
    encoder, codec.flow_matching = load_tokenizer(work)
    if (work / "flow.pt").is_file():
        codec.flow_matching.load_state_dict(trained_state(work / "flow.pt"))
    save_model(codec, codec.config.to_dict(), base / CODEC_FOLDER, dtype)
    save_model(nn.ModuleDict({"encoder": encoder}), ENCODER, base / ENCODER_FOLDER, dtype)


def part_of(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def write_untrained_model(
    work: Path, base: Path, config: HeartMuLaConfig, gen_config: Mapping[str, Any], quantiser: ResidualQuantiser
) -> None:
    """Write the text tokenizer, `gen_config.json` and a language model that has seen no music yet."""
    base.mkdir(parents=True, exist_ok=True)
    records = read_manifest(work / "manifest.jsonl")
    train_text_tokenizer((", ".join(record["tags"]) for record in records), base / "tokenizer.json")
    (base / "gen_config.json").write_text(json.dumps(gen_config, indent=1) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    model = HeartMuLa(config)
    model.initialise()
    start_from_codewords(model, quantiser)
    save_model(model, config.to_dict(), base / MODEL_FOLDER)


def write_trained_model(model_folder: Path, words: Path, base: Path, dtype: torch.dtype | None = None) -> None:
    """Write a language model, and the tokenizer and `gen_config.json` of the folder `words`, by whose ids it learnt."""
    base.mkdir(parents=True, exist_ok=True)
    model = load_heartmula(model_folder)
    save_model(model, model.config.to_dict(), base / MODEL_FOLDER, dtype)
    for name in ("tokenizer.json", "gen_config.json"):
        shutil.copyfile(words / name, base / name)
