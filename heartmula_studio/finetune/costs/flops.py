"""FLOPs of forward and backward passes."""

import math
from dataclasses import dataclass

from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor

PASSES = {"lora": 2, "full": 3}
"""In units of a forward pass: forward; backward through the layers; and, in a full fine-tune, to every weight."""


@dataclass(frozen=True)
class WindowSize:
    """`positions` are those of the backbone, prompt included; `frames` are the ones to predict."""

    positions: int
    frames: int


def forward_flops(network: HeartMuLaConfig, size: WindowSize, depth_frame_fraction: float = 1.0) -> float:
    """Two for each weight and position, and attention's scores and mixtures; embeddings and norms are left out."""
    backbone, decoder = network.backbone_flavor, network.decoder_flavor
    depth_positions = math.ceil(size.frames * depth_frame_fraction) * network.audio_num_codebooks
    weights = size.positions * transformer_weights(backbone) + depth_positions * transformer_weights(decoder)
    weights += size.frames * backbone.embed_dim * network.audio_vocab_size
    weights += depth_positions * decoder.embed_dim * (network.audio_vocab_size + backbone.embed_dim)
    return 2 * weights + 4 * backbone.num_layers * backbone.embed_dim * size.positions**2


def transformer_weights(flavor: LlamaFlavor) -> int:
    """The weights of all linear layers."""
    keys_and_values = 2 * flavor.num_kv_heads * flavor.head_dim
    per_channel = 2 * flavor.embed_dim + keys_and_values + 3 * flavor.intermediate_dim
    return flavor.num_layers * flavor.embed_dim * per_channel
