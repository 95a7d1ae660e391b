"""The transformer of `llama` continuing sequences a few positions at a time, over a cache of fixed size and place.

The same weights and the same numbers as `Transformer.forward`, laid out for making songs. All that changes from one
step to the next lies in tensors that keep their place, so that a GPU can replay a recorded step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from heartmula_studio.arch import kernels
from heartmula_studio.arch.llama import LlamaFlavor, RMSNorm, Transformer, TransformerLayer
from heartmula_studio.arch.rotary import rotate_by
from heartmula_studio.arch.stacked_linear import Normed, Product, StackedLinear

FEW = 8  # steps at once up to which scores are small enough to be kept


class StepCache:
    """Keys and values of R sequences, [L, 2, R, kv heads, length, head_dim]; positions not yet written are zero."""

    def __init__(self, flavor: LlamaFlavor, num_rows: int, length: int, device: torch.device, dtype: torch.dtype):
        shape = (flavor.num_layers, 2, num_rows, flavor.num_kv_heads, length, flavor.head_dim)
        self.tensor = torch.zeros(shape, device=device, dtype=dtype)
        self.rows = torch.arange(num_rows, device=device)[:, None]

    @property
    def length(self) -> int:
        return self.tensor.shape[-2]


@dataclass(frozen=True)
class Places:
    """Where the steps of R sequences are: `positions` [R, T] of the first `span` places of the cache.

    mask: what is added to the scores of each query, [R, 1, T · group, span]; turns: how far each head is turned,
    [R, T, heads + 2 · kv heads, head_dim / 2]. Both are None where kernels work them out from the positions.
    """

    positions: Tensor
    span: int
    rows: Tensor  # [R, 1]
    mask: Tensor | None
    turns: Tensor | None


class LayerStep:
    """One layer: its seven linear layers as four products."""

    def __init__(self, layer: TransformerLayer, flavor: LlamaFlavor, turns: Tensor):
        attn, mlp = layer.attn, layer.mlp
        self._layer, self._flavor, self._turns = layer, flavor, turns
        self._has_kernels = kernels.are_usable(turns.device)
        self._qkv = StackedLinear([attn.q_proj, attn.k_proj, attn.v_proj])
        self._output = StackedLinear([attn.output_proj])
        self._gate_up = StackedLinear([mlp.w1, mlp.w3])
        self._down = StackedLinear([mlp.w2])

    def refresh(self) -> None:
        for stack in (self._qkv, self._output, self._gate_up, self._down):
            stack.refresh()

    def __call__(self, x: Tensor, normed: Normed, places: Places, cache: Tensor, next_norm: RMSNorm) -> Normed:
        """Change `x` [R·T, D] in place, and write the steps' places of `cache` [2, R, kv heads, length, head_dim].

        normed: `x` as this layer's first norm leaves it. Returns the new `x` as `next_norm` leaves it.
        """
        queries = self._store(self._qkv(*normed), places, cache)
        normed = self._add(x, self._output(self._attend(queries, places, cache)), self._layer.mlp_norm)
        return self._add(x, self._down(self._gated(self._gate_up(*normed))), next_norm)

    def _add(self, x: Tensor, product: Product, norm: RMSNorm) -> Normed:
        """Add a product to `x` in place; return the sum, normed."""
        if self._has_kernels:
            return kernels.add_and_norm(x, product, norm.scale, norm.eps)
        return Normed(norm(x.add_(product.total())))

    def _gated(self, gate_up: Product) -> Tensor:
        if self._has_kernels:
            return kernels.gated(gate_up)
        gate, up = gate_up.total().chunk(2, dim=-1)
        return F.silu(gate) * up

    def _store(self, qkv: Product, places: Places, cache: Tensor) -> Tensor:
        """Return the queries [R, kv heads, T · group, head_dim]: those that share a key head side by side."""
        flavor = self._flavor
        if places.turns is None:
            return kernels.turn_and_store(qkv, self._turns, places.positions, cache, flavor.num_heads)
        heads = qkv.total().contiguous().view(*places.positions.shape, -1, flavor.head_dim)
        queries, new = rotate_by(heads, places.turns).split((flavor.num_heads, 2 * flavor.num_kv_heads), dim=2)
        cache[:, places.rows, :, places.positions] = new.unflatten(2, (2, -1))
        return queries.unflatten(2, (flavor.num_kv_heads, -1)).transpose(1, 2).flatten(2, 3)

    def _attend(self, queries: Tensor, places: Places, cache: Tensor) -> Tensor:
        """[R, kv heads, T · group, head_dim] → [R·T, heads · head_dim]"""
        keys, values = cache[:, :, :, : places.span]
        if places.mask is None:
            # PyTorch's kernels that take a mask give all places of a head to one block of the GPU: over 3,000 places,
            # they are four times as slow as over 500, and this 1.3 times.
            weights = kernels.softmax_up_to(queries @ keys.mT, places.positions, self._flavor.head_dim**-0.5)
            attended = weights @ values
        else:
            attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=places.mask)
        return attended.unflatten(2, (places.positions.shape[1], -1)).transpose(1, 2).flatten(0, 1).flatten(1)


class TransformerStep:
    """A `Transformer` for making songs. While it is in use, its linear layers belong to it: see `StackedLinear`."""

    def __init__(self, transformer: Transformer):
        self._transformer, self.flavor = transformer, transformer.flavor
        self._turns = transformer.turns(transformer.norm.scale.device)
        self._norms = [*(layer.sa_norm for layer in transformer.layers), transformer.norm]
        self._layers = [LayerStep(layer, transformer.flavor, self._turns) for layer in transformer.layers]
        self.before_layer: Callable[[], None] = lambda: None

    def refresh(self) -> None:
        """Take over a changed strength of the adapter."""
        for layer in self._layers:
            layer.refresh()

    def new_cache(self, num_rows: int, length: int) -> StepCache:
        scale = self._transformer.norm.scale
        return StepCache(self.flavor, num_rows, length, scale.device, scale.dtype)

    def __call__(self, x: Tensor, positions: Tensor, cache: StepCache, span: int) -> Tensor:
        """Continue R sequences by T positions: `x` [R, T, D] → hidden states [R, T, D], final norm applied.

        positions: [R, T] int64, all below `span`; the first `span` places of the cache are looked at.
        """
        places = self._places(positions, cache, span)
        flat = x.flatten(0, 1).clone()
        normed = Normed(self._norms[0](flat))
        for layer, layer_cache, next_norm in zip(self._layers, cache.tensor, self._norms[1:], strict=True):
            self.before_layer()
            normed = layer(flat, normed, places, layer_cache, next_norm)
        return normed.total().view_as(x)

    def _places(self, positions: Tensor, cache: StepCache, span: int) -> Places:
        flavor, has_kernels = self.flavor, kernels.are_usable(positions.device)
        is_short = positions.shape[1] <= FEW
        group = flavor.num_heads // flavor.num_kv_heads
        mask = None if has_kernels and is_short else attention_mask(positions, span, group, cache.tensor.dtype)
        turns = None if has_kernels else self._turns_of_heads(positions)
        return Places(positions, span, cache.rows, mask, turns)

    def _turns_of_heads(self, positions: Tensor) -> Tensor:
        """[R, T] → [R, T, heads + 2 · kv heads, head_dim / 2]: queries and keys turn, values do not."""
        turned = self.flavor.num_heads + self.flavor.num_kv_heads
        turns = self._turns[positions][:, :, None].expand(-1, -1, turned + self.flavor.num_kv_heads, -1).clone()
        turns[:, :, turned:] = 1
        return turns


def attention_mask(positions: Tensor, span: int, group: int, dtype: torch.dtype) -> Tensor:
    """[R, T] → what is added to the scores of each query, [R, 1, group · T, span]: 0 up to its own position."""
    ahead = torch.arange(span, device=positions.device) > positions[..., None]
    mask = torch.zeros(ahead.shape, device=positions.device, dtype=dtype).masked_fill_(ahead, -torch.inf)
    return mask.repeat_interleave(group, dim=1)[:, None]
