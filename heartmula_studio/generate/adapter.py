"""A LoRA adapter in PEFT's format, attached to a model's linear layers and taken off again without a trace.

The base weights are never touched: PEFT wraps each linear layer, and detaching puts the very same layer back.
"""

import math
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

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
            self._peft = self._attach()
            self._layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
            self._require_complete()
            self._fix_magnitudes()
        except BaseException:
            self.detach()
            raise

    @property
    def layers_changed(self) -> int:
        """The number of linear layers that the adapter changes: those whose low-rank product is not zero."""
        return sum(bool(layer.lora_B[_NAME].weight.any()) for layer in self._layers.values())

    def set_strength(self, strength: float) -> None:
        """Scale the adapter: 0 by-passes it, which gives the base's logits bit for bit; 1 is as it was trained."""
        if strength == 0:
            self._peft.base_model.disable_adapter_layers()
            return
        self._peft.base_model.enable_adapter_layers()
        for layer in self._layers.values():
            layer.set_scale(_NAME, strength)
            if _NAME in layer.lora_magnitude_vector:
                layer.lora_magnitude_vector[_NAME].set_strength(strength, layer)

    def detach(self) -> None:
        """Give the model its own linear layers back. The adapter is of no use afterwards."""
        for name, module in list(self._model.named_modules()):
            if isinstance(module, LoraLayer):
                self._model.set_submodule(name, module.get_base_layer())
        if hasattr(self._model, "peft_config"):  # PEFT's mark on a wrapped model, absent where wrapping failed early
            del self._model.peft_config

    def _attach(self) -> PeftModel:
        config = read_config(self._folder)
        try:
            with memory_explained():
                return PeftModel.from_pretrained(self._model, self._folder, _NAME, config=config)
        except StudioError:
            raise
        except (RuntimeError, ValueError) as error:
            raise self._contradiction(str(error)) from error
        except Exception as error:  # PEFT raises whatever a setting of a wrong type trips over
            raise self._wrong_setting(str(error)) from error

    def _require_complete(self) -> None:
        if differing := set(self._layers) ^ set(read_layers(self._folder)):
            raise self._contradiction(f"only one of them has the layer {min(differing)}")
        for name, layer in self._layers.items():
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

    def _fix_magnitudes(self) -> None:
        for layer in self._layers.values():
            if _NAME in layer.lora_magnitude_vector:
                layer.lora_magnitude_vector[_NAME] = FixedMagnitude(layer)


class FixedMagnitude(nn.Module):
    """PEFT's DoRA magnitude for weights that no longer change.

    PEFT forms the whole weight and its norm in every forward pass; here that happens once for each strength.
    """

    def __init__(self, layer: LoraLayer):
        super().__init__()
        self.trained = layer.lora_magnitude_vector[_NAME].weight.detach()
        self.base = self._row_norms(layer)
        self.set_strength(1.0, layer)

    @torch.no_grad()
    def set_strength(self, strength: float, layer: LoraLayer) -> None:
        """Move the magnitude in a straight line from the base's (0) through the trained one (1)."""
        magnitude = self.trained if strength == 1 else self.base + strength * (self.trained - self.base)
        self.gain = magnitude / self._row_norms(layer, layer.get_delta_weight(_NAME))

    def _row_norms(self, layer: LoraLayer, delta: Tensor | float = 0.0) -> Tensor:
        # In the adapter's precision, as PEFT does it: rounded to bfloat16, a norm would be off by up to 0.4%.
        weight = layer.get_base_layer().weight.detach().to(self.trained.dtype)
        return torch.linalg.norm(weight + delta, dim=1)

    def forward(self, x, *, lora_A, lora_B, scaling, base_layer, base_result, **_) -> Tensor:  # noqa: N803 PEFT's names
        """Return what DoRA adds to the base layer's result (Liu et al., 2024), split as PEFT splits it."""
        if base_layer.bias is not None:
            base_result = base_result - base_layer.bias
        return (self.gain - 1) * base_result + self.gain * lora_B(lora_A(x)) * scaling
