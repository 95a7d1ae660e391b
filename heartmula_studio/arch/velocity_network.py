"""The velocity estimator of the flow-matching decoder: two stages of transformer blocks modulated by time.

Tensor names equal the official checkpoints'. Attention is bidirectional over one window.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.float32_linear import Float32Linear, float32_product
from heartmula_studio.arch.rotary import apply_rope, inverse_frequencies, rope_table

TIME_CHANNELS = 512
TIME_SCALE = 1000
TIME_MAX_PERIOD = 10_000
ROTARY_BASE = 10_000
MLP_MULTIPLE = 256


def embed_time(times: Tensor) -> Tensor:
    """Sinusoidal features of flow time in [0, 1]: [B] → [B, 512] (cosines first)."""
    half = TIME_CHANNELS // 2
    steps = torch.arange(half, device=times.device, dtype=times.dtype)
    frequencies = torch.exp(-math.log(TIME_MAX_PERIOD) * steps / half)
    angles = times[:, None] * frequencies * TIME_SCALE
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class RMSNorm(nn.RMSNorm):
    def __init__(self, dim: int):
        super().__init__(dim, eps=1e-6)


class SelfAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.head_dim = dim // num_heads
        self.q_proj = Float32Linear(dim, dim)
        self.k_proj = Float32Linear(dim, dim)
        self.v_proj = Float32Linear(dim, dim)
        self.o_proj = Float32Linear(dim, dim)

    def forward(self, x: Tensor, rope: Tensor, start: int = 0) -> Tensor:
        """[B, T, D] → [B, T - start, D]: the steps from `start` on attend, and all are attended to."""
        inputs = ((self.q_proj, x[:, start:]), (self.k_proj, x), (self.v_proj, x))
        q, k, v = (proj(each).unflatten(-1, (-1, self.head_dim)) for proj, each in inputs)
        q, k = apply_rope(q, rope[start:, None]), apply_rope(k, rope[:, None])
        q, k, v = (heads.transpose(1, 2) for heads in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.o_proj(attended.transpose(1, 2).flatten(-2))


class GatedMLP(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        hidden = MLP_MULTIPLE * math.ceil(int(2 * 4 * dim / 3) / MLP_MULTIPLE)
        self.gate = Float32Linear(dim, hidden)
        self.up = Float32Linear(dim, hidden)
        self.down = Float32Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class ModulatedBlock(nn.Module):
    """Self-attention and MLP, each shifted, scaled and gated by the time modulation [B, 6, D]."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.attn_norm = RMSNorm(dim)
        self.attn = SelfAttention(dim, num_heads)
        self.mlp_norm = RMSNorm(dim)
        self.mlp = GatedMLP(dim)
        self.scale_shift_table = nn.Parameter(torch.randn(6, dim).mul_(dim**-0.5))

    def forward(self, x: Tensor, modulation: Tensor, rope: Tensor, start: int = 0) -> Tensor:
        """[B, T, D] → [B, T - start, D]: the steps from `start` on."""
        modulation = self.scale_shift_table + modulation
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = modulation.chunk(6, dim=1)
        attended = self.attn(torch.addcmul(shift_attn, self.attn_norm(x), 1 + scale_attn), rope, start)
        x = torch.addcmul(x[:, start:], gate_attn, attended)
        return torch.addcmul(x, gate_mlp, self.mlp(torch.addcmul(shift_mlp, self.mlp_norm(x), 1 + scale_mlp)))


class ConvProjection(nn.Module):
    """A width-3 convolution over time, then a linear layer: [B, T, n_in] → [B, T, n_out]."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3):
        super().__init__()
        self.scale = kernel**-0.5
        self.ffn_1 = nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2)
        self.ffn_2 = nn.Linear(n_out, n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.convolve(x))

    def convolve(self, x: Tensor, first: int = 0) -> Tensor:
        """Convolve the input channels from `first` on: [B, T, n] → their share [B, n_out, T] of the sum over all."""
        weight, bias = self.ffn_1.weight[:, first : first + x.shape[-1]], None if first else self.ffn_1.bias
        return F.conv1d(x.transpose(1, 2), weight, bias, padding=self.ffn_1.padding)

    def project(self, convolved: Tensor) -> Tensor:
        """The linear layer behind the convolution of all channels: [B, n_out, T] → [B, T, n_out]."""
        x = convolved.transpose(1, 2) * self.scale
        if torch.is_grad_enabled():
            return self.ffn_2(x)
        return float32_product(x.flatten(0, 1), self.ffn_2.weight).unflatten(0, x.shape[:2]) + self.ffn_2.bias


class Modulation(NamedTuple):
    """What flow times do to the blocks of a stage, [B, 6, D], and to the norm behind them, [B, 1, D]."""

    of_blocks: Tensor
    of_norm: Tensor

    def at(self, step: int) -> "Modulation":
        """Return that of one of the times, for any number of inputs."""
        return Modulation(self.of_blocks[step : step + 1], self.of_norm[step : step + 1])


class TimeEmbedder(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(TIME_CHANNELS, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, times: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(embed_time(times))))


class TimeModulation(nn.Module):
    """Flow times [B] → the modulation of every block, and the embedding itself for the norm behind them."""

    def __init__(self, dim: int):
        super().__init__()
        self.emb = nn.ModuleDict({"timestep_embedder": TimeEmbedder(dim)})
        self.linear = nn.Linear(dim, 6 * dim)

    def forward(self, times: Tensor) -> Modulation:
        embedded = self.emb["timestep_embedder"](times)
        return Modulation(self.linear(F.silu(embedded)).unflatten(-1, (6, -1)), embedded[:, None])


class VelocityEstimator(nn.Module):
    """Inputs [B, T, in_channels] at flow times [B] → velocity [B, T, out_channels]."""

    def __init__(
        self, num_heads: int, head_dim: int, in_channels: int, out_channels: int, num_layers: int, num_layers_2: int
    ):
        super().__init__()
        self.num_heads, self.in_channels = num_heads, in_channels
        dim, dim_2 = num_heads * head_dim, 2 * num_heads * head_dim
        self.proj_in = ConvProjection(in_channels, dim)
        self.adaln_single = TimeModulation(dim)
        self.transformer_blocks = nn.ModuleList(ModulatedBlock(dim, num_heads) for _ in range(num_layers))
        self.scale_shift_table = nn.Parameter(torch.randn(2, dim).mul_(dim**-0.5))
        self.connection_proj = ConvProjection(in_channels + dim, dim_2)
        self.adaln_single_2 = TimeModulation(dim_2)
        self.transformer_blocks_2 = nn.ModuleList(ModulatedBlock(dim_2, num_heads) for _ in range(num_layers_2))
        self.scale_shift_table_2 = nn.Parameter(torch.randn(2, dim_2).mul_(dim_2**-0.5))
        self.proj_out = ConvProjection(dim_2, out_channels)

    def forward(self, inputs: Tensor, times: Tensor) -> Tensor:
        return self.velocity(self.convolve(inputs), self.modulate(times))

    def modulate(self, times: Tensor) -> tuple[Modulation, Modulation]:
        """Return what the flow times [B] do to the blocks of both stages."""
        return self.adaln_single(times), self.adaln_single_2(times)

    def convolve(self, inputs: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Convolve the input channels from `first` on for both stages: [B, T, n] → their shares [B, D, T], [B, 2D, T].

        Those of all channels add up to what `velocity` takes: what stays the same at all times is convolved once.
        """
        return self.proj_in.convolve(inputs, first), self.connection_proj.convolve(inputs, first)

    def velocity(
        self, convolved: tuple[Tensor, Tensor], modulations: tuple[Modulation, Modulation], start: int = 0
    ) -> Tensor:
        """Convolved inputs [B, D, T] and [B, 2D, T] → the velocity of the steps from `start` on, [B, T - start, C]."""
        (into_first, into_second), (first, second) = convolved, modulations
        x = self.proj_in.project(into_first)
        x = self.run_stage(x, first, self.transformer_blocks, self.scale_shift_table)
        x = self.connection_proj.project(into_second + self.connection_proj.convolve(x, self.in_channels))
        beside = min(start, 1)  # the last convolution takes in the step before
        x = self.run_stage(x, second, self.transformer_blocks_2, self.scale_shift_table_2, start - beside)
        return self.proj_out(x)[:, beside:]

    def run_stage(
        self, x: Tensor, modulated: Modulation, blocks: nn.ModuleList, scale_shift_table: Tensor, start: int = 0
    ) -> Tensor:
        """Modulated blocks, then a modulated layer norm: [B, T, D] → the steps from `start` on, [B, T - start, D]."""
        modulation, embedded = modulated
        frequencies = inverse_frequencies(x.shape[-1] // self.num_heads, ROTARY_BASE)
        rope = rope_table(frequencies, x.shape[1], x.device)
        for block in blocks[:-1]:
            x = block(x, modulation, rope)
        x = blocks[-1](x, modulation, rope, start)
        shift, scale = (scale_shift_table + embedded).chunk(2, dim=1)
        return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)
