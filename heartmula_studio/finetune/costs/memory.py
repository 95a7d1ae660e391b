"""Memory of a training run: weights, gradients and optimizer states are counted, the rest is estimated generously."""

import math
from collections.abc import Mapping
from pathlib import Path

from heartmula_studio.arch.checkpoints import (
    BaseFolder,
    read_heartmula_config,
    weight_files,
)
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.arch.nf4 import fits_nf4, nf4_bytes
from heartmula_studio.arch.official import MODEL_REPO
from heartmula_studio.arch.stored_weights import stored_tensors
from heartmula_studio.device_name import is_gpu
from heartmula_studio.finetune.adam8bit import moments_bytes
from heartmula_studio.finetune.adapters import HEAD_PARAMETER, layer_ranks
from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, AdapterKind, BaseDtype, TrainConfig
from heartmula_studio.finetune.costs.activations import FLOAT_BYTES, HALF_BYTES, activation_bytes
from heartmula_studio.finetune.dtypes import BASE_DTYPES
from heartmula_studio.finetune.layer_values import values_by_layer

PROGRAM_BYTES = 700 << 20  # Python with its libraries; a GPU's own share is about the same
WORKSPACE_BYTES = 200 << 20  # beyond it, what libraries for matrix products keep on a GPU while training
UNPACKED_BYTES = 8  # of each weight in four bits, while torchao looks up what it stands for
ADAM_STATES = 2
LARGE_GRADIENTS = 2  # at once on a device whose gradients are offloaded: one that is complete, and a part of another

HEAD = "audio_head"

Shapes = Mapping[str, tuple[int, ...]]


def training_bytes(config: TrainConfig, base: BaseFolder, seconds: float, device: str) -> int:
    """Estimate what a run takes on `device`, with songs of at most `seconds`.

    Counted are the weights, their gradients and the optimizer's moments; estimated are the activations of one batch.
    Raises as `read_heartmula_config`.
    """
    shapes, network = tensor_shapes(base.model), read_heartmula_config(base.model)
    stored = sum(stored_bytes(name, shape, config.base_dtype) for name, shape in shapes.items())
    copies = 2 if config.ema_decay else 1
    stored += copies * lora_parameters(shapes, config) * FLOAT_BYTES if config.method == "lora" else 0
    stored += gradient_bytes(shapes, config, device) + optimizer_bytes(shapes, config)
    frames = math.ceil(min(seconds, config.max_window_sec) * FRAME_RATE_HZ)
    own = PROGRAM_BYTES + (WORKSPACE_BYTES if is_gpu(device) else 0)
    formed = unpacking_bytes(shapes, config) + delta_bytes(shapes, config)
    return own + stored + formed + activation_bytes(network, frames, config)


def gradient_bytes(shapes: Shapes, config: TrainConfig, device: str) -> int:
    """Gradients on a device, without those that are offloaded to the CPU."""
    if not config.is_full_in_16_bits:
        return trained_parameters(shapes, config) * FLOAT_BYTES
    on_device = 0 if is_gpu(device) else offloaded_gradient_bytes(shapes, config)
    return on_device + LARGE_GRADIENTS * max(map(math.prod, shapes.values())) * HALF_BYTES


def offloaded_gradient_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """Gradients in the computer's memory, wherever the run is."""
    return trained_parameters(shapes, config) * HALF_BYTES if config.is_full_in_16_bits else 0


def host_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """The computer's memory for a run on a GPU: its gradients, and as much again while a state is written."""
    return PROGRAM_BYTES + 2 * offloaded_gradient_bytes(shapes, config)


def optimizer_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """Moments of all trained weights."""
    if config.is_full_in_16_bits:
        return sum(map(moments_bytes, shapes.values()))
    return trained_parameters(shapes, config) * FLOAT_BYTES * ADAM_STATES


def state_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """A resumable state on disk: the trained weights and their moments."""
    width = HALF_BYTES if config.is_full_in_16_bits else FLOAT_BYTES
    return trained_parameters(shapes, config) * width + optimizer_bytes(shapes, config)


def trained_parameters(shapes: Shapes, config: TrainConfig) -> int:
    """Count what training changes: every weight, or those of the adapter."""
    return sum(map(math.prod, shapes.values())) if config.method == "full" else lora_parameters(shapes, config)


def stored_bytes(name: str, shape: tuple[int, ...], base_dtype: BaseDtype) -> int:
    """One tensor of the base in memory."""
    if base_dtype == "nf4" and layer_kind(name) in TRANSFORMER_LINEARS and fits_nf4(shape):
        return nf4_bytes(shape)
    return math.prod(shape) * BASE_DTYPES[base_dtype].itemsize


def unpacking_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """Workspace for computing with the largest layer in four bits."""
    if config.base_dtype != "nf4":
        return 0
    return UNPACKED_BYTES * max(
        (math.prod(shape) for name, shape in shapes.items() if layer_kind(name) in TRANSFORMER_LINEARS), default=0
    )


def lora_parameters(shapes: Shapes, config: TrainConfig) -> int:
    """Count the parameters of the adapter. Raises InvalidInputError for a pattern that stands for no layer."""
    settings, heads = config.lora, shapes.get(HEAD) if config.lora.audio_head else None
    layers = {name.removesuffix(".weight"): shape for name, shape in adapted_shapes(shapes, config).items()}
    names = [*layers, HEAD_PARAMETER] if heads else list(layers)
    ranks = layer_ranks(settings, names)
    values_by_layer(settings.alphas(), names, "lora.alpha_pattern")
    count = sum(
        layer_parameters(settings.kind, shape, ranks.get(name, settings.rank)) for name, shape in layers.items()
    )
    return count + (ranks.get(HEAD_PARAMETER, settings.rank) * heads[0] * sum(heads[1:]) if heads else 0)


def adapted_shapes(shapes: Shapes, config: TrainConfig) -> Shapes:
    """The weights of linear layers that an adapter changes."""
    return {name: shape for name, shape in shapes.items() if layer_kind(name) in config.lora.target_modules}


def layer_parameters(kind: AdapterKind, shape: tuple[int, ...], rank: int) -> int:
    """Count an adapter's parameters for a linear layer of `shape`."""
    if kind != "lokr":
        return rank * sum(shape) * (2 if kind == "loha" else 1)
    factors = [largest_factor(size) for size in shape]
    inner = [size // factor for size, factor in zip(shape, factors, strict=True)]
    return math.prod(factors) + (rank * sum(inner) if 2 * rank < max(inner) else math.prod(inner))


def largest_factor(size: int) -> int:
    """The largest factor of `size` that is at most its root, into which PEFT's LoKr cuts it."""
    return next(factor for factor in range(math.isqrt(size), 0, -1) if size % factor == 0)


def delta_bytes(shapes: Shapes, config: TrainConfig) -> int:
    """Changes of weights that LoHa and LoKr form in each step, and keep for the backward pass where nothing else does:
    those of all layers, or of one.
    """
    if config.method != "lora" or config.lora.kind not in ("loha", "lokr"):
        return 0
    sizes = [math.prod(shape) * FLOAT_BYTES for shape in adapted_shapes(shapes, config).values()]
    at_once = max(sizes, default=0) * len(config.lora.target_modules)
    return 2 * (at_once if config.gradient_checkpointing else sum(sizes))


def layer_kind(name: str) -> str:
    """ "q_proj" of "backbone.layers.0.attn.q_proj.weight"; "" of what is no weight."""
    layer, _, kind = name.rpartition(".")
    return layer.rpartition(".")[2] if kind == "weight" else ""


def tensor_shapes(folder: Path) -> Shapes:
    """Read the shape of every tensor of a model, not the tensors."""
    stored = stored_tensors(weight_files(folder, MODEL_REPO), str)
    return {name: tensor.header.shape for name, tensor in stored.items()}
