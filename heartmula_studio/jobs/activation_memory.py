"""How much memory a training batch takes beside weights, gradients and moments: what is kept for the way back.

The counts are those of all allocations on the CPU, of single layers of different widths.
"""

import math
from dataclasses import dataclass

from heartmula_studio.arch.heartmula import LOGITS_AT_ONCE, HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor
from heartmula_studio.finetune.config import TrainConfig

FLOAT_BYTES = 4
HALF_BYTES = 2
PROMPT_POSITIONS = 256
LOGIT_BYTES = 4 * FLOAT_BYTES  # a logit, its softmax and the gradients of both


@dataclass(frozen=True)
class Held:
    """Tensors that a layer holds, as many as are as wide as the stream, and as the inside of the feed-forward."""

    stream: float
    inner: float


@dataclass(frozen=True)
class LayerMemory:
    """What a layer keeps between its way there and its way back, and holds in all at the worst moment of the latter."""

    kept: Held
    most: Held


CHECKPOINT = Held(1, 0)  # what a layer keeps that is computed once more
LEAN = LayerMemory(Held(7.5, 4), Held(7, 6))
COPYING = LayerMemory(Held(18, 5), Held(21, 9))  # PEFT without autocast; with dropout, a copy for each linear layer
DORA = LayerMemory(Held(19, 8), Held(25, 17))


def layer_memory(config: TrainConfig) -> LayerMemory:
    if config.method == "full":
        return LEAN
    if config.lora.use_dora:
        return DORA
    is_mixed = config.mixed_precision == "no" and config.base_dtype != "float32"
    return COPYING if is_mixed or config.lora.dropout else LEAN


def activation_bytes(network: HeartMuLaConfig, frames: int, config: TrainConfig) -> int:
    """Estimate what a batch of windows of `frames` keeps for the way back, and holds at the worst moment of it."""
    backbone = config.batch_size * (frames + PROMPT_POSITIONS)
    depth = config.batch_size * math.ceil(frames * config.depth_share) * network.audio_num_codebooks
    at_once = min(depth, HeartMuLa.depth_positions_at_once)
    kept = transformer_bytes(network.backbone_flavor, backbone, config)
    kept += transformer_bytes(network.decoder_flavor, depth, config)
    return kept + max(
        worst_moment_bytes(network.backbone_flavor, backbone, config),
        worst_moment_bytes(network.decoder_flavor, at_once, config),
        LOGIT_BYTES * min(LOGITS_AT_ONCE, depth * network.audio_vocab_size),
    )


def transformer_bytes(flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """What its layers keep for the way back, with what its last norm keeps and the gradient of its outputs."""
    kept = kept_of_layer(config)
    all_layers = Held(flavor.num_layers * kept.stream + 2, flavor.num_layers * kept.inner)
    return held_bytes(all_layers, flavor, positions, config)


def worst_moment_bytes(flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """What one layer holds on the way back of `positions`, beyond what it kept."""
    kept, most = kept_of_layer(config), layer_memory(config).most
    return held_bytes(Held(most.stream - kept.stream, most.inner - kept.inner), flavor, positions, config)


def kept_of_layer(config: TrainConfig) -> Held:
    return CHECKPOINT if config.gradient_checkpointing else layer_memory(config).kept


def held_bytes(held: Held, flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """The stream is as exact as the base, what lies inside the layers as the products."""
    stream = FLOAT_BYTES if config.base_dtype == "float32" else HALF_BYTES
    inner = stream if config.mixed_precision == "no" else HALF_BYTES
    return math.ceil(
        positions * (held.stream * stream * flavor.embed_dim + held.inner * inner * flavor.intermediate_dim)
    )
