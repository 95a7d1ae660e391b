"""A LoRA adapter on a model's linear layers, put on and taken off again without a trace.

The base weights are never touched: each linear layer is wrapped, and detaching puts the very same layer back.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.generate.adapter_files import AdapterDescription, LoraTensors, read_layers
from heartmula_studio.generate.decoding.fused_linear import LoraWeights
from heartmula_studio.generate.memory import memory_explained


class Adapter:
    """An adapter attached to `model`; its strength multiplies what it adds to each layer.

    Raises CheckpointError where the files have changed or hold values that cannot be applied, and OutOfMemoryError;
    the model is then as before.
    """

    def __init__(self, model: HeartMuLa, adapter: AdapterDescription):
        self._model = model
        self._layers: dict[str, AdaptedLinear] = {}
        try:
            with memory_explained():
                for name, tensors in read_layers(adapter, model.audio_head.device):
                    self._attach(name, tensors, adapter.layers[name].scale)
        except BaseException:
            self.detach()
            raise

    @property
    def layers_changed(self) -> int:
        """The number of linear layers that the adapter changes: those whose low-rank product is not zero."""
        return sum(bool(layer.up.any()) for layer in self._layers.values())

    def set_strength(self, strength: float) -> None:
        """Scale the adapter: 0 by-passes it, which gives the base's logits bit for bit; 1 is as it was trained."""
        for layer in self._layers.values():
            layer.set_strength(strength)

    def detach(self) -> None:
        """Give the model its own linear layers back. The adapter is of no use afterwards."""
        for name, layer in self._layers.items():
            self._model.set_submodule(name, layer.base)

    def _attach(self, name: str, tensors: LoraTensors, scale: float) -> None:
        kind, base = AdaptedLinear if tensors.magnitude is None else AdaptedDoraLinear, self._model.get_submodule(name)
        assert isinstance(base, nn.Linear), type(base)
        self._layers[name] = kind(base, tensors, scale)
        self._model.set_submodule(name, self._layers[name])


class AdaptedLinear(nn.Module):
    """A linear layer and what a LoRA that no longer changes adds to it. In nano, PEFT's takes more than twice as long.

    The sum is formed in the adapter's precision, as PEFT does it.
    """

    def __init__(self, base: nn.Linear, tensors: LoraTensors, scale: float):
        super().__init__()
        self.base = base
        self.down, self.up = tensors.down, tensors.up
        self.trained_scale = scale
        self.set_strength(1.0)

    @property
    def weight(self) -> Tensor:
        """The base's own: a network asks its layers where and in what precision they compute."""
        return self.base.weight

    def set_strength(self, strength: float) -> None:
        self.scale = strength * self.trained_scale

    def lora_weights(self) -> LoraWeights | None:
        """See `stacked_linear.SupportsLora`."""
        return LoraWeights(self.down, self.up * self.scale) if self.scale else None

    def forward(self, x: Tensor) -> Tensor:
        result = self.base(x)
        return self.changed(result, x).to(result.dtype) if self.scale else result

    def changed(self, result: Tensor, x: Tensor) -> Tensor:
        return result + self.product(x) * self.scale

    def product(self, x: Tensor) -> Tensor:
        return linear(linear(x.to(self.down.dtype), self.down), self.up)


class AdaptedDoraLinear(AdaptedLinear):
    """The same for DoRA (Liu et al., 2024), which scales each row of the changed weight to a trained magnitude.

    PEFT forms the whole weight and its norm in every forward pass; here that happens once for each strength.
    """

    def __init__(self, base: nn.Linear, tensors: LoraTensors, scale: float):
        assert tensors.magnitude is not None
        self.trained_magnitude = tensors.magnitude
        super().__init__(base, tensors, scale)

    @torch.no_grad()
    def set_strength(self, strength: float) -> None:
        """Move the magnitude in a straight line from the base's (0) through the trained one (1)."""
        super().set_strength(strength)
        # In the adapter's precision, as PEFT does it: rounded to bfloat16, a norm would be off by up to 0.4%.
        weight = self.base.weight.detach().to(self.trained_magnitude.dtype)
        magnitude = self.trained_magnitude
        if strength != 1:
            base_magnitude = weight.norm(dim=1)
            magnitude = base_magnitude + strength * (magnitude - base_magnitude)
        self.dora_scale = magnitude / (weight + self.up @ self.down * self.scale).norm(dim=1)

    def lora_weights(self) -> LoraWeights | None:
        if not self.scale:
            return None
        return LoraWeights(self.down, self.dora_scale[:, None] * self.up * self.scale, self.dora_scale)

    def changed(self, result: Tensor, x: Tensor) -> Tensor:
        plain = result if self.base.bias is None else result - self.base.bias
        return result + ((self.dora_scale - 1) * plain + self.dora_scale * self.product(x) * self.scale)
