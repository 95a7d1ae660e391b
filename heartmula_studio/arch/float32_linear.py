"""Linear layers in float32 whose products are computed as exactly as by PyTorch's own, and faster where that is known.

On a CPU they are oneDNN's. Those of MKL, PyTorch's own, leave AVX-512 alone on an AMD, and take twice as long there.

On an NVIDIA GPU they are computed on its tensor cores, which take TF32: it has 11 of a float32's 24 binary digits. Two
of them hold 22; of the four products of two such sums, the least is left out. What comes out is nearer to the exact
product than what cuBLAS makes in float32 on an H200, in 0.55 to 0.72 of the time. Source of the method: Ootomo &
Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance",
2022.
"""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.triton_support import is_triton_available, tl, triton

FEW_ROWS = 64  # up to which the weights, not the products, take the time
HAS_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine().lower() in ("x86_64", "amd64")
# GPUs for data centres, whose tensor cores are seven and more times as fast as their others; those for games are not.
CAPABILITIES = ((8, 0), (9, 0), (10, 0))
COLUMNS, PART = 64, 32  # of the output, and how much of the depth, a block computes at once


class Float32Linear(nn.Linear):
    """`nn.Linear` without a bias, [..., in] → [..., out]; what a training runs through is left to PyTorch."""

    def __init__(self, size_in: int, size_out: int):
        super().__init__(size_in, size_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        return float32_product(x.flatten(0, -2), self.weight).unflatten(0, x.shape[:-1])


def float32_product(x: Tensor, weight: Tensor) -> Tensor:
    """[N, in] times the transposed [out, in] → [N, out], in any dtype and without gradients."""
    if suits_onednn(x, weight):
        return onednn_product(x, weight)
    return product(x, weight) if suits(x, weight) else F.linear(x, weight)


def suits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether both are in float32 on a CPU that oneDNN is made for, and rows are many."""
    return HAS_ONEDNN and x.is_cpu and x.dtype == weight.dtype == torch.float32 and len(x) > FEW_ROWS


def onednn_product(x: Tensor, weight: Tensor) -> Tensor:
    """[N, in] times the transposed [out, in], either of them laid out in any way → [N, out]."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return y


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether the tensor cores are there, and these [..., in] and [out, in] are many whole blocks in float32."""
    return (
        x.is_cuda
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > FEW_ROWS * x.shape[-1]
        and weight.shape[0] % COLUMNS == weight.shape[1] % PART == 0
        and torch.cuda.get_device_capability(x.device) in CAPABILITIES
        and is_triton_available(x.device)
    )


def product(x: Tensor, weight: Tensor) -> Tensor:
    """[N, in] times the transposed [out, in] → [N, out]. `in` and `out` are multiples of 32 and 64."""
    x, (num_columns, depth) = x.contiguous(), weight.shape
    y = x.new_empty(len(x), num_columns)
    rows = 128 if num_columns >= 4096 else 64  # of a block: fewer where few blocks would leave a GPU idle
    num_blocks = triton.cdiv(len(x), rows) * (num_columns // COLUMNS)
    _product[(num_blocks,)](x, weight, y, len(x), num_columns, depth, rows, COLUMNS, PART, num_warps=4, num_stages=4)
    return y


if triton is not None:

    @triton.jit
    def _product(
        x, weight, y, num_rows, num_columns,
        DEPTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, PART: tl.constexpr,
    ):  # fmt: skip
        # Blocks that run at the same time share rows of x, eight blocks of them, and columns.
        block, rows_of_blocks = tl.program_id(0), tl.cdiv(num_rows, ROWS)
        in_group = 8 * (num_columns // COLUMNS)
        first = block // in_group * 8
        height = min(rows_of_blocks - first, 8)
        rows = (first + block % in_group % height) * ROWS + tl.arange(0, ROWS)
        columns = block % in_group // height * COLUMNS + tl.arange(0, COLUMNS)
        along = tl.arange(0, PART)
        left = x + (rows % num_rows)[:, None] * DEPTH + along[None, :]
        right = weight + columns[None, :] * DEPTH + along[:, None]
        total = tl.zeros((ROWS, COLUMNS), tl.float32)
        for _ in range(0, DEPTH, PART):
            total = tl.dot(tl.load(left), tl.load(right), total, input_precision="tf32x3")
            left += PART
            right += PART
        tl.store(y + rows[:, None] * num_columns + columns[None, :], total, mask=(rows < num_rows)[:, None])
