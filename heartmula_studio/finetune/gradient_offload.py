"""Gradient offload: gradients move to CPU memory during the backward pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heartmula_studio.finetune.quantization import chunks, stochastic_round


class CpuGradientOffload:
    """Offloads each gradient to the CPU as soon as the backward pass has produced it.

    Gradients of all backward passes until `clear` are accumulated with stochastic rounding to bfloat16: rounded to the
    nearest, small ones would be lost beside the sum. On a GPU the buffers are pinned, so that copies are asynchronous.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        sizes = [parameter.numel() for parameter in parameters]
        # One allocation, because torch rounds each of pinned memory up to a power of two.
        memory = torch.empty(sum(sizes), dtype=torch.bfloat16, pin_memory=parameters[0].is_cuda)
        self._buffers = dict(zip(parameters, memory.split(sizes), strict=True))
        self._norms: dict[nn.Parameter, Tensor] = {}
        self._factor: Tensor | float = 1.0
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._on_grad_ready)

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._norms

    @torch.no_grad()
    def _on_grad_ready(self, parameter: nn.Parameter) -> None:
        assert parameter.grad is not None
        gradient, buffer = parameter.grad.flatten(), self._buffers[parameter]
        if parameter in self:
            for chunk in chunks(len(buffer)):
                gradient[chunk] = stochastic_round(gradient[chunk].float() + self._upload(parameter, chunk))
        buffer.copy_(gradient, non_blocking=True)
        norms = [gradient[chunk].float().norm() for chunk in chunks(len(buffer))]
        self._norms[parameter] = torch.stack(norms).norm()
        parameter.grad = None

    def _upload(self, parameter: nn.Parameter, chunk: slice) -> Tensor:
        # In two steps: in one, the processor would make the float32, and twice as much would have to be moved.
        return self._buffers[parameter][chunk].to(parameter.device, non_blocking=True).float()

    def clip(self, max_norm: float) -> float:
        """Scale what `read` will return, as `torch.nn.utils.clip_grad_norm_` does; return the norm of all before."""
        norm = torch.stack(list(self._norms.values())).norm()
        self._factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        return norm.item()

    def read(self, parameter: nn.Parameter, chunk: slice) -> Tensor:
        """Return values of a flattened gradient, in float32 on the parameter's device."""
        return self._upload(parameter, chunk).mul_(self._factor)

    def clear(self) -> None:
        self._norms.clear()
        self._factor = 1.0
