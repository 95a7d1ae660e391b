"""Adapters on a model's layers, put on and taken off again without a trace.

The base weights are never touched: each layer is wrapped, and detaching the last adapter puts the very same layer back.
"""

import functools

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.generate.adapter_files import HEAD, AdapterDescription, read_layers
from heartmula_studio.generate.decoding.fused_linear import LoraWeights
from heartmula_studio.generate.layer_change import LayerChange, LowRankChange, change_of
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.generate.strength import Strength, as_strength


class Adapter:
    """An adapter attached to `model`, perhaps beside others; its strength multiplies what it adds to each layer.

    Raises CheckpointError where the files have changed or hold values that cannot be applied, and OutOfMemoryError;
    the model is then as before.
    """

    def __init__(self, model: HeartMuLa, adapter: AdapterDescription):
        self._model = model
        self._changes: dict[str, LayerChange] = {}
        try:
            with memory_explained():
                for name, tensors in read_layers(adapter, model.device):
                    layer = adapted_layer(model, name)
                    self._changes[name] = change_of(tensors, adapter.layers[name].scale, layer.weight)
                    layer.changes.append(self._changes[name])
        except BaseException:
            self.detach()
            raise

    @property
    def layers_changed(self) -> int:
        """The number of layers that the adapter changes at its present strength."""
        return sum(change.has_effect() for change in self._changes.values())

    def set_strength(self, strength: Strength | float) -> None:
        """Scale the adapter: 0 by-passes it, which gives the base's logits bit for bit; 1 is as it was trained."""
        strength = as_strength(strength)
        for name, change in self._changes.items():
            change.set_strength(strength.of_layer(name), adapted_layer(self._model, name).weight)

    def detach(self) -> None:
        """Take the adapter off the model's layers. It is of no use afterwards."""
        for name, change in self._changes.items():
            layer = adapted_layer(self._model, name)
            layer.changes = [other for other in layer.changes if other is not change]
        for name, layer in adapted_layers(self._model).items():
            if not layer.changes:
                put_back(self._model, name, layer)


class AdaptedLinear(nn.Module):
    """A linear layer and what adapters that no longer change add to it. In nano, PEFT's takes more than twice as long.

    The sum is formed in the adapters' precision, as PEFT does it.
    """

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base = base
        self.changes: list[LayerChange] = []

    @property
    def weight(self) -> Tensor:
        """The base's own: a network asks its layers where and in what precision they compute."""
        return self.base.weight

    @property
    def active(self) -> list[LayerChange]:
        return [change for change in self.changes if change.strength]

    def lora_weights(self) -> LoraWeights | None:
        """See `fused_linear.SupportsLora`."""
        active = self.active
        changes = [change for change in active if isinstance(change, LowRankChange)]
        if not active or len(changes) < len(active):
            return None
        return functools.reduce(LoraWeights.plus, (change.lora_weights() for change in changes))

    def merged_weight(self) -> Tensor | None:
        """See `fused_linear.SupportsLora`."""
        if all(isinstance(change, LowRankChange) for change in self.active):
            return None
        return (self.weight.detach().float() + self.delta()).to(self.weight.dtype)

    def delta(self) -> Tensor:
        """The sum of all changes of the weight, [out, in] in float32."""
        weight = self.weight.detach()
        return sum((change.delta(weight) for change in self.active), start=torch.zeros((), device=weight.device))

    def forward(self, x: Tensor) -> Tensor:
        result = self.base(x)
        if not self.active:
            return result
        lora = self.lora_weights()
        if lora is None:
            return (result + linear(x.float(), self.delta())).to(result.dtype)
        change = linear(linear(x.to(lora.down.dtype), lora.down), lora.up)
        if lora.dora_scale is not None:
            plain = result if self.base.bias is None else result - self.base.bias
            change = change + (lora.dora_scale - 1) * plain
        return (result + change).to(result.dtype)


class AdaptedHead(nn.Module):
    """The bare parameter `audio_head` and what adapters add to it."""

    def __init__(self, base: nn.Parameter):
        super().__init__()
        self.base = base
        self.changes: list[LayerChange] = []

    @property
    def weight(self) -> Tensor:
        return self.base

    def forward(self, _: None) -> Tensor:
        """Return the weights, [K-1, decoder width, V]."""
        active = [change for change in self.changes if change.strength]
        if not active:
            return self.base
        weight = self.base.detach()
        return sum((change.delta(weight) for change in active), start=weight.float()).to(weight.dtype)


AdaptedLayer = AdaptedLinear | AdaptedHead


def adapted_layer(model: HeartMuLa, name: str) -> AdaptedLayer:
    """Return a layer of the model with room for adapters, wrapping it where it is not."""
    found = model.audio_head if name == HEAD else model.get_submodule(name)
    if isinstance(found, AdaptedLayer):
        return found
    assert isinstance(found, nn.Parameter | nn.Linear), type(found)
    wrapped = AdaptedHead(found) if isinstance(found, nn.Parameter) else AdaptedLinear(found)
    set_layer(model, name, wrapped)
    return wrapped


def adapted_layers(model: HeartMuLa) -> dict[str, AdaptedLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLayer)}


def put_back(model: HeartMuLa, name: str, layer: AdaptedLayer) -> None:
    set_layer(model, name, layer.base)


def set_layer(model: HeartMuLa, name: str, layer: nn.Module | nn.Parameter) -> None:
    if name == HEAD:
        model.replace_audio_head(layer)
    else:
        assert isinstance(layer, nn.Module)
        model.set_submodule(name, layer)
