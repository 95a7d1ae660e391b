"""PEFT's LoRA layer with fewer kernels and fewer saved activations.

PEFT casts the input to the adapter's float32 and back, and passes over the output three more times to scale and add.
"""

from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from heartmula_studio.arch.float32_linear import onednn_product, suits_onednn


class FusedLoraLinear(Linear):
    """PEFT's layer for `nn.Linear` without a bias: the same parameters, names and results, up to rounding.

    Left to PEFT are DoRA and the like, adapters that are off, merged or several, and mixed dtypes without autocast.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] → [..., out]."""
        if args or kwargs or not self._is_plain(x):
            return super().forward(x, *args, **kwargs)
        (name,), dtype = self.active_adapters, computing_dtype(x)
        rows, weight = x.to(dtype).flatten(0, -2), cast(nn.Linear, self.get_base_layer()).weight
        down, up = self.lora_A[name].weight.to(dtype), self.lora_B[name].weight.to(dtype)
        dropout = self.lora_dropout[name]
        # Never `rows` twice: of a tensor passed twice, compiled code keeps the last place's gradient only.
        dropped = dropout(rows) if dropout.training and not isinstance(dropout, nn.Identity) else None
        y: Tensor = LoraFunction.apply(  # type: ignore[no-untyped-call]  # torch has no types for it
            rows, dropped, weight, down, up, self.scaling[name]
        )
        with torch.no_grad():
            add_product(y, rows, weight.to(dtype))
        return y.unflatten(0, x.shape[:-1])

    def _is_plain(self, x: Tensor) -> bool:
        if self.disable_adapters or self.merged or self.lora_variant or len(self.active_adapters) != 1:
            return False
        adapter_dtype = self.lora_A[self.active_adapters[0]].weight.dtype
        return x.dtype == adapter_dtype or torch.is_autocast_enabled(x.device.type)


def computing_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of matrix products with `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class LoraFunction(Function):
    """`y = x Wᵀ + scaling · dropped Aᵀ Bᵀ` for a frozen W: the backward pass of all, the forward pass of the LoRA term.

    The caller adds `x Wᵀ`, which saves nothing: so gradient checkpointing can stop recomputing a layer before its last
    matrix product.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor | None, weight: Tensor, down: Tensor, up: Tensor, scaling: float
    ) -> Tensor:
        """x, dropped (None: x itself): [N, in]; W [out, in] in any dtype; A [r, in]; B [out, r] → [N, out]."""
        lora_input = x if dropped is None else dropped
        low = product_with_few(lora_input, down, scaling)
        ctx.save_for_backward(lora_input, low, down, up)
        ctx.weight, ctx.scaling, ctx.has_dropout = weight, scaling, dropped is not None
        return onednn_product(low, up) if suits_onednn(low, up) else low.mm(up.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        lora_input, low, down, up = ctx.saved_tensors
        grad_low = product_with_few(grad, up.T, ctx.scaling)
        grad_down, grad_up = sum_of_products(grad_low, lora_input), sum_of_products(grad, low)
        weight = ctx.weight.to(grad.dtype)
        grad_x = onednn_product(grad, weight.T) if suits_onednn(grad, weight) else grad.mm(weight)
        if ctx.has_dropout:
            return grad_x, grad_low.mm(down), None, grad_down, grad_up, None
        return grad_x.addmm_(grad_low, down), None, None, grad_down, grad_up, None


def add_product(y: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add `x Wᵀ` to y [N, out] in place; x [N, in], W [out, in]."""
    if suits_onednn(x, weight):
        y.add_(onednn_product(x, weight))
    else:
        y.addmm_(x, weight.T)


def product_with_few(x: Tensor, few: Tensor, scale: float) -> Tensor:
    """`scale · x fewᵀ` for x [N, n] and few rows [r, n], on which MKL is several times as slow as oneDNN."""
    if suits_onednn(x, few):
        return onednn_product(x, few * scale)
    return x.new_empty(len(x), len(few)).addmm_(x, few.T, beta=0, alpha=scale)


def sum_of_products(a: Tensor, b: Tensor) -> Tensor:
    """`aᵀ b` for a [N, n] and b [N, m], of which one has few columns, likewise: oneDNN wants these first."""
    if not suits_onednn(a, b):
        return a.T.mm(b)
    return onednn_product(a.T, b.T) if a.shape[1] < b.shape[1] else onednn_product(b.T, a.T).T
