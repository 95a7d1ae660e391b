"""The Llama-3.2-style causal transformer behind both halves of HeartMuLa, and its key/value cache.

Knows nothing of music: embeddings in, hidden states out. Tensor names equal torchtune's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from heartmula_studio.arch.rotary import inverse_frequencies, rotate_interleaved, rotation_table, scale_llama31


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


class KVCache:
    """Keys and values of the positions seen so far, preallocated.

    `keys` and `values` are [L, B, kv heads, max_length, head_dim], of which `length` positions are filled.
    One cache belongs to one sequence of calls; the weights know nothing of it.
    """

    def __init__(self, flavor: LlamaFlavor, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype):
        shape = (flavor.num_layers, batch_size, flavor.num_kv_heads, max_length, flavor.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.length = 0

    def reset(self) -> None:
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, kv heads, T, head_dim] of one layer behind `length`; return all filled positions of that layer."""
        end = self.length + keys.shape[2]
        assert end <= self.keys.shape[3], f"cache of {self.keys.shape[3]} positions asked to hold {end}"
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], eps=self.eps).type_as(x) * self.scale


class Attention(nn.Module):
    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        width, kv_width = flavor.embed_dim, flavor.num_kv_heads * flavor.head_dim
        self.head_dim = flavor.head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.output_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, cache: KVCache | None) -> Tensor:
        q, k, v = (
            proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate_interleaved(q, cos, sin), rotate_interleaved(k, cos, sin)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        attended = F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **causal_mask(q.shape[2], k.shape[2], q))
        return self.output_proj(attended.transpose(1, 2).flatten(-2))


def causal_mask(queries: int, keys: int, like: Tensor) -> dict:
    """Arguments that make attention causal when the queries are the last ones of the keys."""
    if queries == 1:
        return {}
    if queries == keys:
        return {"is_causal": True}
    allowed = torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril(keys - queries)
    return {"attn_mask": allowed}


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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, cache: KVCache | None) -> Tensor:
        x = x + self.attn(self.sa_norm(x), cos, sin, layer, cache)
        return x + self.mlp(self.mlp_norm(x))


class Transformer(nn.Module):
    """Causal transformer over embeddings [B, T, D] → hidden states [B, T, D], final norm applied."""

    def __init__(self, flavor: LlamaFlavor):
        super().__init__()
        self.flavor = flavor
        self.layers = nn.ModuleList(TransformerLayer(flavor) for _ in range(flavor.num_layers))
        self.norm = RMSNorm(flavor.embed_dim, flavor.norm_eps)
        self.gradient_checkpointing = False
        self._rotation: tuple[Tensor, Tensor] | None = None

    def new_cache(self, batch_size: int, max_length: int) -> KVCache:
        weight = self.norm.scale
        return KVCache(self.flavor, batch_size, max_length, weight.device, weight.dtype)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """Attend causally. With a cache, `x` continues behind the cached positions and is added to them."""
        start = 0 if cache is None else cache.length
        end = start + x.shape[1]
        assert end <= self.flavor.max_seq_len, f"{end} positions do not fit max_seq_len {self.flavor.max_seq_len}"
        cos, sin = (table[start:end] for table in self._rotations(x.device))
        for index, layer in enumerate(self.layers):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, cos, sin, index, cache, use_reentrant=False)
            else:
                x = layer(x, cos, sin, index, cache)
        if cache is not None:
            cache.length = end
        return self.norm(x)

    def _rotations(self, device: torch.device) -> tuple[Tensor, Tensor]:
        # Kept outside the module's buffers, so that casting the weights to bf16 leaves the angles in float32.
        if self._rotation is None or self._rotation[0].device != device:
            frequencies = inverse_frequencies(self.flavor.head_dim, self.flavor.rope_base)
            frequencies = scale_llama31(frequencies, self.flavor.rope_scale_factor)
            with torch.inference_mode(False):  # training may use the table after a song was made
                self._rotation = rotation_table(frequencies, self.flavor.max_seq_len, device)
        return self._rotation
