"""The transformer of `arch.llama` with a KV cache: prefill and decode steps of a few positions at a time.

The same weights and the same numbers as `Transformer.forward`, laid out for autoregressive decoding. Whatever changes
from one step to the next lies in tensors that keep their address, so that a CUDA graph can replay a captured step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from heartmula_studio.arch.llama import LlamaFlavor, RMSNorm, Transformer, TransformerLayer
from heartmula_studio.arch.rotary import apply_rope
from heartmula_studio.arch.triton_support import is_triton_available
from heartmula_studio.generate.decoding import triton_kernels
from heartmula_studio.generate.decoding.fused_linear import DeferredLinear, DeferredRMSNorm, FusedLinear

MAX_DECODE_STEPS = 8
"""Positions per call up to which the attention scores are small enough to be kept in memory."""


class KVCache:
    """Keys and values of R sequences, [L, 2, R, kv heads, length, head_dim]; positions not yet written are zero."""

    def __init__(self, flavor: LlamaFlavor, num_rows: int, length: int, device: torch.device, dtype: torch.dtype):
        shape = (flavor.num_layers, 2, num_rows, flavor.num_kv_heads, length, flavor.head_dim)
        self.tensor = torch.zeros(shape, device=device, dtype=dtype)
        self.batch_index = torch.arange(num_rows, device=device)[:, None]

    @property
    def length(self) -> int:
        return self.tensor.shape[-2]


@dataclass(frozen=True)
class DecodePositions:
    """The `index` [R, T] of each step in its sequence; attention reads the first `kv_length` entries of the cache.

    mask: added to the attention scores, [R, 1, T · group, kv_length]; rope: rotation of each head,
    [R, T, heads + 2 · kv heads, head_dim / 2]. Both are None where the Triton kernels derive them from `index`.
    """

    index: Tensor
    kv_length: int
    batch_index: Tensor  # [R, 1]
    mask: Tensor | None
    rope: Tensor | None


class CachedLayer:
    """One transformer layer; its seven linear layers are four matrix products."""

    def __init__(self, layer: TransformerLayer, flavor: LlamaFlavor, rope_table: Tensor):
        attn, mlp = layer.attn, layer.mlp
        self._layer, self._flavor, self._rope_table = layer, flavor, rope_table
        self._has_kernels = is_triton_available(rope_table.device)
        self._qkv = FusedLinear([attn.q_proj, attn.k_proj, attn.v_proj])
        self._output = FusedLinear([attn.output_proj])
        self._gate_up = FusedLinear([mlp.w1, mlp.w3])
        self._down = FusedLinear([mlp.w2])

    def update_lora(self) -> None:
        """Take over a changed strength of the adapter."""
        for linear in (self._qkv, self._output, self._gate_up, self._down):
            linear.update_lora()

    def __call__(
        self, x: Tensor, normed: DeferredRMSNorm, positions: DecodePositions, cache: Tensor, next_norm: RMSNorm
    ) -> DeferredRMSNorm:
        """Change the residual stream `x` [R·T, D] and the layer's `cache` [2, R, kv heads, length, head_dim] in place.

        normed: `x` after this layer's first norm. Returns the new `x` after `next_norm`.
        """
        queries = self._rope_and_update_kv_cache(self._qkv(*normed), positions, cache)
        attended = self._attend(queries, positions, cache)
        normed = self._add_rms_norm(x, self._output, attended, self._layer.mlp_norm)
        return self._add_rms_norm(x, self._down, self._silu_and_mul(self._gate_up(*normed)), next_norm)

    def _add_rms_norm(self, x: Tensor, linear: FusedLinear, into: Tensor, norm: RMSNorm) -> DeferredRMSNorm:
        """Add what a linear layer makes of `into` to `x` in place; return the normed sum."""
        if self._has_kernels:
            return triton_kernels.fused_add_rms_norm(x, linear(into), norm.scale, norm.eps)
        return DeferredRMSNorm(rms_norm(linear.add_to(x, into), norm))

    def _silu_and_mul(self, gate_up: DeferredLinear) -> Tensor:
        """SwiGLU's `silu(gate) * up`."""
        if self._has_kernels:
            return triton_kernels.silu_and_mul(gate_up)
        gate, up = gate_up.materialize().chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    def _rope_and_update_kv_cache(self, qkv: DeferredLinear, positions: DecodePositions, cache: Tensor) -> Tensor:
        """Return the queries [R, kv heads, T · group, head_dim]: those that share a key head side by side."""
        flavor = self._flavor
        if positions.rope is None:
            return triton_kernels.rope_and_update_kv_cache(
                qkv, self._rope_table, positions.index, cache, flavor.num_heads
            )
        (rows, steps), kv_heads = positions.index.shape, flavor.num_kv_heads
        heads = qkv.materialize().contiguous().view(rows, steps, -1, flavor.head_dim)
        queries, new = rotate(heads, positions.rope).split_with_sizes((flavor.num_heads, 2 * kv_heads), dim=2)
        cache[:, positions.batch_index, :, positions.index] = new.view(rows, steps, 2, kv_heads, -1)
        queries = queries.view(rows, steps, kv_heads, -1, flavor.head_dim)
        return queries.transpose(1, 2).reshape(rows, kv_heads, -1, flavor.head_dim)

    def _attend(self, queries: Tensor, positions: DecodePositions, cache: Tensor) -> Tensor:
        """[R, kv heads, T · group, head_dim] → [R·T, heads · head_dim]"""
        keys, values = cache[:, :, :, : positions.kv_length].unbind()
        if positions.mask is None:
            # PyTorch's attention with a mask gives all keys of a head to one block of the GPU: over 3,000 positions
            # it is four times as slow as over 500, and this 1.3 times.
            weights = triton_kernels.causal_softmax(queries @ keys.mT, positions.index, self._flavor.head_dim**-0.5)
            attended = weights @ values
        else:
            attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=positions.mask)
        rows, steps = positions.index.shape
        by_step = attended.reshape(rows, self._flavor.num_kv_heads, steps, -1).transpose(1, 2)
        return by_step.reshape(rows * steps, self._flavor.embed_dim)


class CachedTransformer:
    """A `Transformer` laid out for decoding. While in use, its linear layers belong to it: see `FusedLinear`."""

    def __init__(self, transformer: Transformer):
        self._transformer, self.flavor = transformer, transformer.flavor
        self._rope_table = transformer.rope_table(transformer.norm.scale.device)
        self._layers: list[CachedLayer] = []
        self._norms: list[RMSNorm] = []
        for layer in transformer.layers:
            assert isinstance(layer, TransformerLayer), type(layer)
            self._layers.append(CachedLayer(layer, transformer.flavor, self._rope_table))
            self._norms.append(layer.sa_norm)
        self._norms.append(transformer.norm)
        self.before_layer: Callable[[], object] = lambda: None

    def update_lora(self) -> None:
        """Take over a changed strength of the adapter."""
        for layer in self._layers:
            layer.update_lora()

    def new_cache(self, num_rows: int, length: int) -> KVCache:
        scale = self._transformer.norm.scale
        return KVCache(self.flavor, num_rows, length, scale.device, scale.dtype)

    def __call__(self, x: Tensor, index: Tensor, cache: KVCache, kv_length: int) -> Tensor:
        """Continue R sequences by T positions: `x` [R, T, D] → hidden states [R, T, D], final norm applied.

        index: positions [R, T] int64, all below `kv_length`, up to which attention reads the cache.
        """
        return self.decode(x, self.decode_positions(index, cache, kv_length), cache)

    def decode(self, x: Tensor, positions: DecodePositions, cache: KVCache) -> Tensor:
        """The same at positions that are prepared once for many calls."""
        stream = x.flatten(0, 1).clone()
        normed = DeferredRMSNorm(rms_norm(stream, self._norms[0]))
        for layer, layer_cache, next_norm in zip(self._layers, cache.tensor, self._norms[1:], strict=True):
            self.before_layer()
            normed = layer(stream, normed, positions, layer_cache, next_norm)
        return normed.materialize().view_as(x)

    def decode_positions(self, index: Tensor, cache: KVCache, kv_length: int) -> DecodePositions:
        """Prepare positions [R, T] int64 for `decode`."""
        flavor, has_kernels = self.flavor, is_triton_available(index.device)
        is_decode_step = index.shape[1] <= MAX_DECODE_STEPS
        group = flavor.num_heads // flavor.num_kv_heads
        mask = None if has_kernels and is_decode_step else causal_mask(index, kv_length, group, cache.tensor.dtype)
        rope = None if has_kernels else self._rope_of_heads(index)
        return DecodePositions(index, kv_length, cache.batch_index, mask, rope)

    def _rope_of_heads(self, index: Tensor) -> Tensor:
        """[R, T] → [R, T, heads + 2 · kv heads, head_dim / 2]: queries and keys are rotated, values are not."""
        num_rotated = self.flavor.num_heads + self.flavor.num_kv_heads
        rope = self._rope_table[index][:, :, None].expand(-1, -1, num_rotated + self.flavor.num_kv_heads, -1).clone()
        rope[:, :, num_rotated:] = 1
        return rope


def rms_norm(x: Tensor, norm: RMSNorm) -> Tensor:
    """Call a norm without what a module does around it: there are dozens in a frame."""
    return torch.rms_norm(x, x.shape[-1:], norm.scale, norm.eps)


def rotate(heads: Tensor, rope: Tensor) -> Tensor:
    """`apply_rope`, which may overwrite `heads`."""
    if heads.dtype != torch.float32:
        return apply_rope(heads, rope)
    torch.view_as_complex(heads.view(*heads.shape[:-1], -1, 2)).mul_(rope)
    return heads


def causal_mask(index: Tensor, kv_length: int, group: int, dtype: torch.dtype) -> Tensor:
    """Positions [R, T] → what is added to attention scores [R, 1, group · T, kv_length]: 0 up to each position."""
    is_future = torch.arange(kv_length, device=index.device) > index[..., None]
    mask = torch.zeros(is_future.shape, device=index.device, dtype=dtype).masked_fill_(is_future, -torch.inf)
    return mask.repeat_interleave(group, dim=1)[:, None]
