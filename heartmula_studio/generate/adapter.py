"""A LoRA adapter in PEFT's format, attached to a model's linear layers and taken off again without a trace.

PEFT reads it. The base weights are never touched: each linear layer is wrapped, and detaching puts the very same layer
back.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear

from heartmula_studio.arch.stacked_linear import LowRank
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError, StudioError
from heartmula_studio.generate.adapter_files import CONFIG_FILE, WEIGHTS_FILE, read_config, read_layers
from heartmula_studio.generate.memory import memory_explained

_NAME = "default"


class Adapter:
    """An adapter attached to `model`; its strength multiplies what it adds to each layer.

    Raises CheckpointError where the folder's files contradict each other or hold values that cannot be applied, and
    OutOfMemoryError; the model is then as before.
    """

    def __init__(self, model: nn.Module, folder: Path):
        self._model, self._folder = model, folder
        try:
            self._attach()
            layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
            self._require_complete(layers)
            self._layers = [self._replace(name, layer) for name, layer in layers.items()]
        except BaseException:
            self.detach()
            raise

    @property
    def layers_changed(self) -> int:
        """The number of linear layers that the adapter changes: those whose low-rank product is not zero."""
        return sum(bool(layer.up.any()) for layer in self._layers)

    def set_strength(self, strength: float) -> None:
        """Scale the adapter: 0 by-passes it, which gives the base's logits bit for bit; 1 is as it was trained."""
        for layer in self._layers:
            layer.set_strength(strength)

    def detach(self) -> None:
        """Give the model its own linear layers back. The adapter is of no use afterwards."""
        for name, module in list(self._model.named_modules()):
            if isinstance(module, (LoraLayer, AdaptedLinear)):
                self._model.set_submodule(name, module.get_base_layer())
        if hasattr(self._model, "peft_config"):  # PEFT's mark on a wrapped model, absent where wrapping failed early
            del self._model.peft_config

    def _replace(self, name: str, layer: LoraLayer) -> "AdaptedLinear":
        """Put what only makes songs in the place of PEFT's layer, which can also train."""
        adapted = (AdaptedDoraLinear if _NAME in layer.lora_magnitude_vector else AdaptedLinear)(layer)
        self._model.set_submodule(name, adapted)
        return adapted

    def _attach(self) -> None:
        config = read_config(self._folder)
        try:
            with memory_explained():
                PeftModel.from_pretrained(self._model, self._folder, _NAME, config=config)
        except StudioError:
            raise
        except (RuntimeError, ValueError) as error:
            raise self._contradiction(str(error)) from error
        except Exception as error:  # PEFT raises whatever a setting of a wrong type trips over
            raise self._wrong_setting(str(error)) from error

    def _require_complete(self, layers: Mapping[str, LoraLayer]) -> None:
        if differing := set(layers) ^ set(read_layers(self._folder)):
            raise self._contradiction(f"only one of them has the layer {min(differing)}")
        for name, layer in layers.items():
            if not math.isfinite(layer.scaling[_NAME]):
                raise self._wrong_setting(f"the scale of {name} is {layer.scaling[_NAME]}")
            # Without the base's own weight, which PEFT keeps inside the layer: looking through a 3B base takes seconds.
            added = (tensor for part, tensor in layer.named_parameters() if not part.startswith("base_layer."))
            if not all(tensor.isfinite().all() for tensor in added):
                raise CheckpointCorruptError(
                    f"The adapter in {self._folder} holds values that are not numbers (layer {name}).",
                    "Its training diverged. Use another checkpoint, or train again with a lower learning rate.",
                )

    def _contradiction(self, reason: str) -> CheckpointMismatchError:
        return CheckpointMismatchError(
            f"{CONFIG_FILE} and {WEIGHTS_FILE} in {self._folder} do not belong together: {reason}.",
            "Copy the whole checkpoint folder again.",
        )

    def _wrong_setting(self, reason: str) -> CheckpointCorruptError:
        return CheckpointCorruptError(
            f"{self._folder / CONFIG_FILE} holds a setting that cannot be applied: {reason}.",
            "Copy the whole checkpoint folder again.",
        )


class AdaptedLinear(nn.Module):
    """A linear layer and what a LoRA that no longer changes adds to it. In nano, PEFT's takes more than twice as long.

    The sum is formed in the adapter's precision, as PEFT does it.
    """

    def __init__(self, layer: LoraLayer):
        super().__init__()
        self.base = layer.get_base_layer()
        self.down, self.up = layer.lora_A[_NAME].weight.detach(), layer.lora_B[_NAME].weight.detach()
        self.trained_scale = layer.scaling[_NAME]
        self.set_strength(1.0)

    @property
    def weight(self) -> Tensor:
        """The base's own: a network asks its layers where and in what precision they compute."""
        return self.base.weight

    def get_base_layer(self) -> nn.Module:
        return self.base

    def set_strength(self, strength: float) -> None:
        self.scale = strength * self.trained_scale

    def low_rank(self) -> LowRank | None:
        """See `stacked_linear.Adaptable`."""
        return LowRank(self.down, self.up * self.scale) if self.scale else None

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

    def __init__(self, layer: LoraLayer):
        self.trained_magnitude = layer.lora_magnitude_vector[_NAME].weight.detach()
        super().__init__(layer)

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
        self.gain = magnitude / (weight + self.up @ self.down * self.scale).norm(dim=1)

    def low_rank(self) -> LowRank | None:
        if not self.scale:
            return None
        return LowRank(self.down, self.gain[:, None] * self.up * self.scale, self.gain)

    def changed(self, result: Tensor, x: Tensor) -> Tensor:
        plain = result if self.base.bias is None else result - self.base.bias
        return result + ((self.gain - 1) * plain + self.gain * self.product(x) * self.scale)
