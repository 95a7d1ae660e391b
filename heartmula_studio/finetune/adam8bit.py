"""AdamW for weights in bfloat16, with moments in eight bits: a quarter of what AdamW in float32 takes."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from heartmula_studio.finetune.gradient_offload import CpuGradientOffload
from heartmula_studio.finetune.quantization import (
    BLOCK,
    chunks,
    dequantize,
    is_quantizable,
    quantize,
    stochastic_round,
)

# First moment, and root of the second; the names that saved states have.
EXP_AVG, EXP_AVG_SQ_ROOT = "mean", "root"


def moments_bytes(shape: Sequence[int]) -> int:
    """Memory of both moments of a parameter."""
    values = prod(shape)
    return 2 * (values + 4 * values // BLOCK if is_quantizable(shape) else 4 * values)


class Adam8bit(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101) with block-wise 8-bit moments (arXiv 2110.02861) and stochastic rounding of the weights.

    The second moment is stored as its root, which spans half as many decades, so that small ones do not become zero
    beside large ones, and the updates huge (the zero point problem, arXiv 2309.01507). All is computed in float32.
    The gradients are in `gradients`, never in the parameters. Rounding draws from torch's own generator: a run that
    seeds it before each step repeats itself.
    """

    def __init__(self, params: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float = 1e-8):
        """params: groups with a `weight_decay` of their own, of contiguous bfloat16 parameters."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.gradients = CpuGradientOffload(self._parameters())

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # gradients are gone before a second pass
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
            state.update(step=0, **empty_moment(EXP_AVG, parameter), **empty_moment(EXP_AVG_SQ_ROOT, parameter))
        state["step"] += 1
        weights = parameter.view(-1)
        for chunk in chunks(len(weights)):
            gradient = self.gradients.read(parameter, chunk)
            weights[chunk] = stochastic_round(adamw_update(weights[chunk].float(), gradient, state, chunk, group))


def adamw_update(
    weights: Tensor, gradient: Tensor, state: dict[str, Any], chunk: slice, group: dict[str, Any]
) -> Tensor:
    """Bring the moments of a chunk up to date and return its new weights, all in float32 [n]."""
    (beta1, beta2), rate = group["betas"], group["lr"]
    mean = read_moment(state, EXP_AVG, chunk).lerp_(gradient, 1 - beta1)
    root = read_moment(state, EXP_AVG_SQ_ROOT, chunk).square_().lerp_(gradient.square_(), 1 - beta2).sqrt_()
    write_moment(state, EXP_AVG, chunk, mean)
    write_moment(state, EXP_AVG_SQ_ROOT, chunk, root)
    unbiased = root.div_((1 - beta2 ** state["step"]) ** 0.5).add_(group["eps"])
    weights.mul_(1 - rate * group["weight_decay"])
    return weights.addcdiv_(mean, unbiased, value=-rate / (1 - beta1 ** state["step"]))


def empty_moment(name: str, parameter: Tensor) -> dict[str, Tensor]:
    """Zeros under `name`: float32 [n], or codes uint8 [n] with their scales [n / BLOCK] beside them."""
    size, device = parameter.numel(), parameter.device
    if not is_quantizable(parameter.shape):
        return {name: torch.zeros(size, device=device)}
    codes = torch.zeros(size, dtype=torch.uint8, device=device)
    return {name: codes, scales_of(name): torch.zeros(size // BLOCK, device=device)}


def read_moment(state: dict[str, Any], name: str, chunk: slice) -> Tensor:
    """Return a copy of the values of a chunk, in float32."""
    values = state[name][chunk]
    if values.dtype == torch.float32:
        return values.clone()
    return dequantize(values, state[scales_of(name)][blocks_of(chunk)], signed=name == EXP_AVG)


def write_moment(state: dict[str, Any], name: str, chunk: slice, values: Tensor) -> None:
    if state[name].dtype == torch.float32:
        state[name][chunk] = values
    else:
        codes, scales = quantize(values, signed=name == EXP_AVG)
        state[name][chunk], state[scales_of(name)][blocks_of(chunk)] = codes, scales


def scales_of(name: str) -> str:
    return f"{name}_scales"


def blocks_of(chunk: slice) -> slice:
    return slice(chunk.start // BLOCK, chunk.stop // BLOCK)
