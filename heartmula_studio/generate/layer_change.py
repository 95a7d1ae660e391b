"""What one adapter adds to one layer at its present strength."""

import torch
from torch import Tensor

from heartmula_studio.generate.adapter_kinds import LayerTensors, LoraTensors
from heartmula_studio.generate.decoding.fused_linear import LoraWeights


class LayerChange:
    """A change of a weight that is not of low rank, or that is merged into it in any case."""

    def __init__(self, tensors: LayerTensors, scale: float):
        self.tensors, self.trained_scale = tensors, scale
        self.strength = 1.0

    def set_strength(self, strength: float, weight: Tensor) -> None:
        """weight: the base's own."""
        self.strength = strength

    @property
    def scale(self) -> float:
        return self.strength * self.trained_scale

    def delta(self, weight: Tensor) -> Tensor:
        """Return what is added to the base's `weight`, in float32."""
        return self.tensors.delta() * self.scale

    def has_effect(self) -> bool:
        return self.strength != 0 and all(factor.any() for factor in self.tensors.factors())


class LowRankChange(LayerChange):
    """That of a LoRA: as fast as two thin matrix products."""

    tensors: LoraTensors

    def lora_weights(self) -> LoraWeights:
        return LoraWeights(self.tensors.down, self.tensors.up * self.scale)

    def has_effect(self) -> bool:
        return self.strength != 0 and bool(self.tensors.up.any())


class DoraChange(LowRankChange):
    """That of a DoRA (Liu et al., 2024), which scales each row of the changed weight to a trained magnitude.

    PEFT forms the whole weight and its norm in every forward pass; here that happens once for each strength.
    """

    def __init__(self, tensors: LoraTensors, scale: float, weight: Tensor):
        super().__init__(tensors, scale)
        self.set_strength(1.0, weight)

    @torch.no_grad()
    def set_strength(self, strength: float, weight: Tensor) -> None:
        """Move the magnitude in a straight line from the base's (0) through the trained one (1)."""
        super().set_strength(strength, weight)
        magnitude = self.tensors.magnitude
        assert magnitude is not None
        # In the adapter's precision, as PEFT does it: rounded to bfloat16, a norm would be off by up to 0.4%.
        weight = weight.detach().to(magnitude.dtype)
        if strength != 1:
            base_magnitude = weight.norm(dim=1)
            magnitude = base_magnitude + strength * (magnitude - base_magnitude)
        self.dora_scale = magnitude / (weight + self.tensors.delta() * self.scale).norm(dim=1)

    def lora_weights(self) -> LoraWeights:
        return LoraWeights(self.tensors.down, self.dora_scale[:, None] * self.tensors.up * self.scale, self.dora_scale)

    def delta(self, weight: Tensor) -> Tensor:
        weight = weight.float()
        return self.dora_scale[:, None] * (weight + super().delta(weight)) - weight


def change_of(tensors: LayerTensors, scale: float, weight: Tensor) -> LayerChange:
    """Return the change that a layer's tensors make of the base's `weight`, at a strength of 1."""
    if not isinstance(tensors, LoraTensors):
        return LayerChange(tensors, scale)
    return LowRankChange(tensors, scale) if tensors.magnitude is None else DoraChange(tensors, scale, weight)
