"""The Llama-3.2-style causal transformer behind both halves of HeartMuLa, over whole sequences.

Knows nothing of music: embeddings in, hidden states out. Tensor names equal torchtune's. `llama_step` continues
sequences with the same weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from heartmula_studio.arch.rotary import apply_rope, inverse_frequencies, rope_table, scale_llama31


@dataclass(frozen=True)
class LlamaFlavor:
    """The sizes of one transformer."""

    num_layers: int
    num_heads: int
    num_kv_heads: int
    embed_dim: int
    intermediate_dim: int
    max_seq_len: int
    norm_eps: float = 1e-5
    rope_base: float = 500_000
    rope_scale_factor: float = 32

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that do not fit together."""
        if self.embed_dim % self.num_heads or self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim}, num_heads {self.num_heads} and num_kv_heads {self.num_kv_heads} "
                "do not divide one another"
            )

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads


NAMED_FLAVORS = {
    "llama-300M": LlamaFlavor(3, 8, 4, 3072, 8192, 2048),
    "llama-400M": LlamaFlavor(4, 8, 4, 3072, 8192, 2048),
    "llama-3B": LlamaFlavor(28, 24, 8, 3072, 8192, 8192),
    "llama-7B": LlamaFlavor(32, 32, 8, 4096, 14336, 8192),
}


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.scale.type_as(x), self.eps)


class Attention(nn.Module):
    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        width, kv_width = flavor.embed_dim, flavor.num_kv_heads * flavor.head_dim
        self.head_dim = flavor.head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.output_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        q, k, v = (proj(x).unflatten(-1, (-1, self.head_dim)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        # Turned before the heads change places: so gradients come back as they lie, without copies.
        q, k, v = (heads.transpose(1, 2) for heads in (apply_rope(q, rope[:, None]), apply_rope(k, rope[:, None]), v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.output_proj(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        self.w1 = nn.Linear(flavor.embed_dim, flavor.intermediate_dim, bias=False)
        self.w2 = nn.Linear(flavor.intermediate_dim, flavor.embed_dim, bias=False)
        self.w3 = nn.Linear(flavor.embed_dim, flavor.intermediate_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class TransformerLayer(nn.Module):
    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        self.sa_norm = RMSNorm(flavor.embed_dim, flavor.norm_eps)
        self.attn = Attention(flavor)
        self.mlp_norm = RMSNorm(flavor.embed_dim, flavor.norm_eps)
        self.mlp = FeedForward(flavor)

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        x = x + self.attn(self.sa_norm(x), rope)
        return x + self.mlp(self.mlp_norm(x))


class Transformer(nn.Module):
    """Causal transformer over embeddings [B, T, D] → hidden states [B, T, D], final norm applied."""

    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        self.flavor = flavor
        self.layers = nn.ModuleList(TransformerLayer(flavor) for _ in range(flavor.num_layers))
        self.norm = RMSNorm(flavor.embed_dim, flavor.norm_eps)
        self.gradient_checkpointing = False
        self._rope_table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        assert length <= self.flavor.max_seq_len, f"{length} positions do not fit max_seq_len {self.flavor.max_seq_len}"
        rope = self.rope_table(x.device)[:length]
        for layer in self.layers:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, rope, use_reentrant=False)
            else:
                x = layer(x, rope)
        return self.norm(x)

    def rope_table(self, device: torch.device) -> Tensor:
        """How far each position rope queries and keys, [max_seq_len, head_dim / 2] complex64."""
        # Kept outside the module's buffers, so that casting the weights to bf16 leaves the angles in float32.
        if self._rope_table is None or self._rope_table.device != device:
            frequencies = inverse_frequencies(self.flavor.head_dim, self.flavor.rope_base)
            frequencies = scale_llama31(frequencies, self.flavor.rope_scale_factor)
            with torch.inference_mode(False):  # training may use the table after a song was made
                self._rope_table = rope_table(frequencies, self.flavor.max_seq_len, device)
        return self._rope_table
