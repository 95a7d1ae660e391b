"""Codec and encoder of the base of tones, from the states of their trainings."""

from pathlib import Path

import torch
from torch import nn

from heartmula_studio.arch.checkpoints import save_model
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.arch.tone_encoder import ToneEncoder
from recipes.nano.base_folder import CODEC_FOLDER, ENCODER_FOLDER, part_of, trained_state
from recipes.nano.tones.sizes import CODEC, ENCODER


def load_tokenizer(work: Path) -> tuple[ToneEncoder, ToneCodec]:
    """The encoder, and a codec with the quantiser and, once it is trained, the network for levels; all fixed."""
    state = trained_state(work / "tokenizer.pt")
    encoder, codec = ToneEncoder(ENCODER), ToneCodec(CODEC)
    encoder.load_state_dict(part_of(state, "encoder."))
    codec.vq_embed.load_state_dict(part_of(state, "quantiser."))
    if (work / "level_network.pt").is_file():
        codec.level_network.load_state_dict(trained_state(work / "level_network.pt"))
    return encoder.eval(), codec.requires_grad_(False).eval()


def write_codec(work: Path, base: Path, dtype: torch.dtype) -> None:
    """Write codec and encoder folders from `tokenizer.pt` and, once it is trained, `level_network.pt`."""
    encoder, codec = load_tokenizer(work)
    save_model(codec, codec.config.to_dict(), base / CODEC_FOLDER, dtype)
    save_model(nn.ModuleDict({"encoder": encoder}), ENCODER, base / ENCODER_FOLDER, dtype)
