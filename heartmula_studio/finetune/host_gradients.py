"""Gradients in the computer's memory: the device holds none but those that are being computed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heartmula_studio.finetune.low_bits import pieces, round_at_random


class HostGradients:
    """Takes the gradient of each parameter away as soon as it is complete, while the way back goes on.

    Those of all ways back until `clear` are added up, rounded at random to bfloat16: to the nearest, small ones would
    be lost beside the sum. A GPU copies from and to this memory by itself, so nothing waits but for the copies.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        sizes = [parameter.numel() for parameter in parameters]
        # One allocation, because torch rounds each of pinned memory up to a power of two.
        memory = torch.empty(sum(sizes), dtype=torch.bfloat16, pin_memory=parameters[0].is_cuda)
        self._held = dict(zip(parameters, memory.split(sizes), strict=True))
        self._norms: dict[nn.Parameter, Tensor] = {}
        self._factor: Tensor | float = 1.0
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._take)

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._norms

    @torch.no_grad()
    def _take(self, parameter: nn.Parameter) -> None:
        gradient, held = parameter.grad.flatten(), self._held[parameter]
        if parameter in self:
            for piece in pieces(len(held)):
                gradient[piece] = round_at_random(gradient[piece].float() + self._upload(parameter, piece))
        held.copy_(gradient, non_blocking=True)
        norms = [gradient[piece].float().norm() for piece in pieces(len(held))]
        self._norms[parameter] = torch.stack(norms).norm()
        parameter.grad = None

    def _upload(self, parameter: nn.Parameter, piece: slice) -> Tensor:
        # In two steps: in one, the processor would make the float32, and twice as much would have to be moved.
        return self._held[parameter][piece].to(parameter.device, non_blocking=True).float()

    def clip(self, max_norm: float) -> float:
        """Scale what `read` will return, as `torch.nn.utils.clip_grad_norm_` does; return the norm of all before."""
        norm = torch.stack(list(self._norms.values())).norm()
        self._factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        return norm.item()

    def read(self, parameter: nn.Parameter, piece: slice) -> Tensor:
        """Return values of a flattened gradient, in float32 on the parameter's device."""
        return self._upload(parameter, piece).mul_(self._factor)

    def clear(self) -> None:
        self._norms.clear()
        self._factor = 1.0
