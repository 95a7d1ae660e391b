"""Memory of saved activations, beside that of weights, gradients and optimizer states.

The counts are of all allocations that single layers of different widths make on the CPU.
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
class ActivationCount:
    """Number of tensors of a layer: as wide as the residual stream, and as wide as the inside of the MLP."""

    stream: float
    inner: float


@dataclass(frozen=True)
class LayerMemory:
    """Activations that a layer saves for the backward pass, and all that exist at the peak of that pass."""

    saved: ActivationCount
    peak: ActivationCount


CHECKPOINTED = ActivationCount(1, 0)  # gradient checkpointing recomputes the rest
FUSED = LayerMemory(ActivationCount(7.5, 4), ActivationCount(7, 6))
# PEFT without autocast; with dropout, a copy for each linear layer
COPYING = LayerMemory(ActivationCount(18, 5), ActivationCount(21, 9))
DORA = LayerMemory(ActivationCount(19, 8), ActivationCount(25, 17))


def layer_memory(config: TrainConfig) -> LayerMemory:
    if config.method == "full":
        return FUSED
    if config.lora.use_dora:
        return DORA
    is_mixed = config.mixed_precision == "no" and config.base_dtype != "float32"
    return COPYING if is_mixed or config.lora.dropout or config.lora.kind in ("loha", "lokr") else FUSED


def activation_bytes(network: HeartMuLaConfig, frames: int, config: TrainConfig) -> int:
    """Estimate the peak memory of activations for a batch of windows of `frames`."""
    backbone = config.batch_size * (frames + PROMPT_POSITIONS)
    depth = config.batch_size * math.ceil(frames * config.depth_frame_fraction) * network.audio_num_codebooks
    at_once = min(depth, HeartMuLa.depth_positions_at_once)
    saved = transformer_bytes(network.backbone_flavor, backbone, config)
    saved += transformer_bytes(network.decoder_flavor, depth, config)
    return saved + max(
        backward_peak_bytes(network.backbone_flavor, backbone, config),
        backward_peak_bytes(network.decoder_flavor, at_once, config),
        LOGIT_BYTES * min(LOGITS_AT_ONCE, depth * network.audio_vocab_size),
    )


def transformer_bytes(flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """Saved activations of all layers and the last norm, with the gradient of the outputs."""
    saved = saved_per_layer(config)
    all_layers = ActivationCount(flavor.num_layers * saved.stream + 2, flavor.num_layers * saved.inner)
    return count_bytes(all_layers, flavor, positions, config)


def backward_peak_bytes(flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """Peak memory of one layer's backward pass over `positions`, beyond its saved activations."""
    saved, peak = saved_per_layer(config), layer_memory(config).peak
    return count_bytes(ActivationCount(peak.stream - saved.stream, peak.inner - saved.inner), flavor, positions, config)


def saved_per_layer(config: TrainConfig) -> ActivationCount:
    return CHECKPOINTED if config.gradient_checkpointing else layer_memory(config).saved


def count_bytes(count: ActivationCount, flavor: LlamaFlavor, positions: int, config: TrainConfig) -> int:
    """The residual stream has the precision of the base, the inside of the layers that of the matrix products."""
    stream = FLOAT_BYTES if config.base_dtype == "float32" else HALF_BYTES
    inner = stream if config.mixed_precision == "no" else HALF_BYTES
    return math.ceil(
        positions * (count.stream * stream * flavor.embed_dim + count.inner * inner * flavor.intermediate_dim)
    )
