"""AdamW for weights in bfloat16, with moments in eight bits: a quarter of what AdamW in float32 takes."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from heartmula_studio.finetune.host_gradients import HostGradients
from heartmula_studio.finetune.low_bits import (
    BLOCK,
    dequantise,
    fits_eight_bits,
    pieces,
    quantise,
    round_at_random,
)

MEAN, ROOT = "mean", "root"  # of the gradients; of the mean of their squares


def moments_bytes(shape: Sequence[int]) -> int:
    """What both moments of a parameter take."""
    values = prod(shape)
    return 2 * (values + 4 * values // BLOCK if fits_eight_bits(shape) else 4 * values)


class Adam8bit(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101) with block-wise 8-bit moments (arXiv 2110.02861) and weights rounded at random.

    Of the second moment the root is kept: it spans half as many decades, so that small ones do not become zero beside
    large ones, and the updates huge (the zero point problem, arXiv 2309.01507). All is computed in float32.
    The gradients are in `gradients`, never in the parameters. Rounding draws from torch's own generator: a run that
    seeds it before each step repeats itself.
    """

    def __init__(self, params: Iterable, lr: float, betas: tuple[float, float], eps: float = 1e-8):
        """params: groups with a `weight_decay` of their own, of contiguous bfloat16 parameters."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.gradients = HostGradients(self._parameters())

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in self.gradients:
                    self._update(parameter, group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self.gradients.clear()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which would cast all of the state to bfloat16."""
        super().load_state_dict({**state_dict, "state": {}})
        for number, parameter in enumerate(self._parameters()):
            if saved := state_dict["state"].get(number):
                self.state[parameter] = {
                    name: value.to(parameter.device, copy=True) if isinstance(value, Tensor) else value
                    for name, value in saved.items()
                }

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, **empty_moment(MEAN, parameter), **empty_moment(ROOT, parameter))
        state["step"] += 1
        weights = parameter.view(-1)
        for piece in pieces(len(weights)):
            gradient = self.gradients.read(parameter, piece)
            weights[piece] = round_at_random(updated(weights[piece].float(), gradient, state, piece, group))


def updated(weights: Tensor, gradient: Tensor, state: dict[str, Any], piece: slice, group: dict[str, Any]) -> Tensor:
    """Bring the moments of a piece up to date and return its new weights, all in float32 [n]."""
    (beta1, beta2), rate = group["betas"], group["lr"]
    mean = read_moment(state, MEAN, piece).lerp_(gradient, 1 - beta1)
    root = read_moment(state, ROOT, piece).square_().lerp_(gradient.square_(), 1 - beta2).sqrt_()
    write_moment(state, MEAN, piece, mean)
    write_moment(state, ROOT, piece, root)
    unbiased = root.div_((1 - beta2 ** state["step"]) ** 0.5).add_(group["eps"])
    weights.mul_(1 - rate * group["weight_decay"])
    return weights.addcdiv_(mean, unbiased, value=-rate / (1 - beta1 ** state["step"]))


def empty_moment(name: str, parameter: Tensor) -> dict[str, Tensor]:
    """Zeros under `name`: float32 [n], or codes uint8 [n] with their scales [n / BLOCK] beside them."""
    size, device = parameter.numel(), parameter.device
    if not fits_eight_bits(parameter.shape):
        return {name: torch.zeros(size, device=device)}
    codes = torch.zeros(size, dtype=torch.uint8, device=device)
    return {name: codes, scales_of(name): torch.zeros(size // BLOCK, device=device)}


def read_moment(state: dict[str, Any], name: str, piece: slice) -> Tensor:
    """Return a copy of the values of a piece, in float32."""
    values = state[name][piece]
    if values.dtype == torch.float32:
        return values.clone()
    return dequantise(values, state[scales_of(name)][blocks_of(piece)], signed=name == MEAN)


def write_moment(state: dict[str, Any], name: str, piece: slice, values: Tensor) -> None:
    if state[name].dtype == torch.float32:
        state[name][piece] = values
    else:
        codes, scales = quantise(values, signed=name == MEAN)
        state[name][piece], state[scales_of(name)][blocks_of(piece)] = codes, scales


def scales_of(name: str) -> str:
    return f"{name}_scales"


def blocks_of(piece: slice) -> slice:
    return slice(piece.start // BLOCK, piece.stop // BLOCK)
