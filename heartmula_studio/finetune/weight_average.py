"""An exponential moving average of the trained weights (EMA; Polyak and Juditsky, 1992), beside the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from heartmula_studio.finetune.model_setup import restore_weights, trainable_weights


class WeightAverage:
    """The average of a network's trained tensors, which begins with what they are now."""

    def __init__(self, network: nn.Module, decay: float):
        self._network, self._decay = network, decay
        self.weights = {name: tensor.clone() for name, tensor in trainable_weights(network).items()}

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        self.weights = {name: weights[name].to(tensor, copy=True) for name, tensor in self.weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step number `step`, counted from 0. Early on, few steps are averaged."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in trainable_weights(self._network).items():
            self.weights[name].lerp_(tensor, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the average in the network; afterwards the weights are there again, bit for bit."""
        trained = {name: tensor.clone() for name, tensor in trainable_weights(self._network).items()}
        restore_weights(self._network, self.weights)
        try:
            yield
        finally:
            restore_weights(self._network, trained)
