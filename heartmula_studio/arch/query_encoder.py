"""The query encoder: a learned query behind every two 25 Hz frames gathers them into one 12.5 Hz feature."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.rotary import rotate_half_split
from heartmula_studio.arch.weight_norm import weight_norm

ROTARY_BASE = 10_000
MIN_ROTARY_WIDTH = 32


class Rotary(nn.Module):
    """Holds the inverse frequencies as a buffer, since the official checkpoint stores them."""

    inv_freq: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / ROTARY_BASE ** (torch.arange(0, width, 2).float() / width))

    def forward(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(length, device=self.inv_freq.device)[:, None] * self.inv_freq.float()
        return angles.cos(), angles.sin()


class LayerScale(nn.Module):
    def __init__(self, dim: int, initial: float = 1e-2):
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class SigmoidGLU(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.proj = weight_norm(nn.Linear(dim, 2 * hidden))

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * gate.sigmoid()


class FeedForward(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        # The official checkpoint numbers the output layer 2.
        self.ff = nn.Sequential(SigmoidGLU(dim, 4 * dim), nn.Identity(), weight_norm(nn.Linear(4 * dim, dim)))

    def forward(self, x: Tensor) -> Tensor:
        return self.ff(x)


class QueryAttention(nn.Module):
    def __init__(self, dim: int, head_dim: int):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"head_dim {head_dim} does not divide dim {dim}")
        self.head_dim = head_dim
        self.to_qkv = weight_norm(nn.Linear(dim, 3 * dim, bias=False))
        self.to_out = weight_norm(nn.Linear(dim, dim, bias=False))
        self.q_norm = nn.LayerNorm(head_dim)
        self.k_norm = nn.LayerNorm(head_dim)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1))
        q = rotate_half_split(self.q_norm(q), cos, sin)
        k = rotate_half_split(self.k_norm(k), cos, sin)
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class QueryBlock(nn.Module):
    def __init__(self, dim: int, head_dim: int):
        super().__init__()
        self.self_attn = QueryAttention(dim, head_dim)
        self.self_attn_scale = LayerScale(dim)
        self.ff = FeedForward(dim)
        self.ff_scale = LayerScale(dim)
        self.rope = Rotary(max(head_dim // 2, MIN_ROTARY_WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn_scale(self.self_attn(x, *self.rope(x.shape[1])))
        return x + self.ff_scale(self.ff(x))


class FusionQueryEncoder(nn.Module):
    """Fuses the four feature streams, then gathers `interval` frames of 25 Hz in each query."""

    def __init__(self, dim: int = 512, num_layers: int = 6, head_dim: int = 128, interval: int = 2):
        super().__init__()
        self.interval = interval
        self.cls_token = nn.Parameter(torch.randn(1, dim))
        self.encoder_transformers = nn.Sequential(*(QueryBlock(dim, head_dim) for _ in range(num_layers)))
        self.cond_fusion_layer_acoustic = nn.Linear(2048, dim)
        self.cond_fusion_layer_semantic = nn.Linear(2048, dim)
        self.cond_fusion_layer_phone = nn.Linear(1536, dim)
        self.feature_proj = nn.Linear(3 * dim + 1536, dim)

    def forward(self, acoustic: Tensor, semantic: Tensor, whisper: Tensor, wavlm: Tensor) -> Tensor:
        """[B, T, 2048], [B, T, 2048], [B, T, 1536], [B, T, 1536] at 25 Hz → [B, T / 2, dim] at 12.5 Hz."""
        streams = (
            self.cond_fusion_layer_acoustic(acoustic),
            self.cond_fusion_layer_semantic(semantic),
            whisper,
            self.cond_fusion_layer_phone(wavlm),
        )
        return self._gather(self.feature_proj(torch.cat(streams, dim=-1)))

    def _gather(self, features: Tensor) -> Tensor:
        """[B, T, dim] → one query behind every `interval` frames, [B, T / interval, dim]."""
        groups = features.unflatten(1, (-1, self.interval))
        queries = self.cls_token.expand(*groups.shape[:2], 1, -1)
        sequence = torch.cat((groups, queries), dim=2).flatten(1, 2)
        return self.encoder_transformers(sequence)[:, self.interval :: self.interval + 1]
