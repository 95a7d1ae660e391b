"""A base of the official sizes with random weights: as fast and as large as the real one, without a download."""

import json
import shutil
from pathlib import Path

import torch
from torch import nn

from heartmula_studio.arch.checkpoints import ASSETS, save_model
from heartmula_studio.arch.encoder import HeartCodecEncoder
from heartmula_studio.arch.encoders import OFFICIAL
from heartmula_studio.arch.flow_matching import FlowMatchingConfig
from heartmula_studio.arch.heartcodec import HeartCodec, HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.scalar_codec import ScalarCodecConfig
from heartmula_studio.settings import BUNDLED_BASE

SIZES = {"3B": {"backbone_flavor": "llama-3B", "decoder_flavor": "llama-300M"}}
IDS = {"text_bos_id": 0, "text_eos_id": 1, "audio_eos_id": 8193, "empty_id": 0}
WEIGHT_STD = 0.02


def write_random_base(size: str, folder: Path, device: torch.device) -> Path:
    """Write what `find_base` takes, in bfloat16 and float32 as the official files are; about 17 GB for the 3B.

    device: where the numbers are drawn, which takes a CPU minutes.
    """
    config = HeartMuLaConfig.from_dict(SIZES[size])
    codec, encoder = HeartCodecConfig(FlowMatchingConfig(), ScalarCodecConfig()), {"version": OFFICIAL}
    with torch.device("meta"):
        model = HeartMuLa(config)
    save_model(drawn(model, torch.bfloat16, device), config.to_dict(), folder / f"HeartMuLa-random-{size}")
    del model
    with device:
        decoder = HeartCodec(codec)
    save_model(decoder, codec.to_dict(), folder / "HeartCodec-random")
    del decoder
    holder = nn.ModuleDict({"encoder": HeartCodecEncoder(encoder)})
    for buffer in holder.buffers():
        buffer.data = buffer.clone()  # some are parts of larger tensors, which is nothing to store
    save_model(holder, encoder, folder / "HeartCodec-random-encoder")
    shutil.copyfile(ASSETS / BUNDLED_BASE / "tokenizer.json", folder / "tokenizer.json")
    (folder / "gen_config.json").write_text(json.dumps(IDS), encoding="utf-8")
    return folder


@torch.no_grad()
def drawn(model: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Give a model on the meta device weights in `dtype`, never holding them in another."""
    model = model.to(dtype).to_empty(device=device)
    for parameter in model.parameters():
        parameter.normal_(0.0, WEIGHT_STD)
    return model
