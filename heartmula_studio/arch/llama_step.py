"""The transformer of `llama` continuing sequences a few positions at a time, over a cache of fixed size and place.

The same weights and the same numbers as `Transformer.forward`, laid out for making songs. All that changes from one
step to the next lies in tensors that keep their place, so that a GPU can replay a recorded step.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from heartmula_studio.arch.llama import LlamaFlavor, Transformer, TransformerLayer
from heartmula_studio.arch.rotary import rotate_by
from heartmula_studio.arch.stacked_linear import StackedLinear


class StepCache:
    """Keys and values of R sequences, [L, 2, R, kv heads, length, head_dim]; positions not yet written are zero."""

    def __init__(self, flavor: LlamaFlavor, num_rows: int, length: int, device: torch.device, dtype: torch.dtype):
        shape = (flavor.num_layers, 2, num_rows, flavor.num_kv_heads, length, flavor.head_dim)
        self.tensor = torch.zeros(shape, device=device, dtype=dtype)
        self.rows = torch.arange(num_rows, device=device)[:, None]

    @property
    def length(self) -> int:
        return self.tensor.shape[-2]


class LayerStep:
    """One layer: its seven linear layers as four products."""

    def __init__(self, layer: TransformerLayer, flavor: LlamaFlavor):
        attn, mlp = layer.attn, layer.mlp
        self._layer, self._flavor = layer, flavor
        self._qkv = StackedLinear([attn.q_proj, attn.k_proj, attn.v_proj])
        self._output = StackedLinear([attn.output_proj])
        self._gate_up = StackedLinear([mlp.w1, mlp.w3])
        self._down = StackedLinear([mlp.w2])

    def refresh(self) -> None:
        for stack in (self._qkv, self._output, self._gate_up, self._down):
            stack.refresh()

    def __call__(self, x: Tensor, turns: Tensor, mask: Tensor, where: tuple[Tensor, Tensor], cache: Tensor) -> Tensor:
        """Change `x` [R·T, D] in place and write the positions `where` of `cache` [2, R, kv heads, length, head_dim].

        turns: [R, T, heads + 2 · kv heads, head_dim / 2]; mask: as `attention_mask` makes it, over the cache's start.
        """
        attended = self._attend(self._qkv(self._layer.sa_norm(x)), turns, mask, where, cache)
        self._output.add_to(x, attended)
        gate, up = self._gate_up(self._layer.mlp_norm(x)).chunk(2, dim=-1)
        return self._down.add_to(x, F.silu(gate) * up)

    def _attend(self, qkv: Tensor, turns: Tensor, mask: Tensor, where: tuple[Tensor, Tensor], cache: Tensor) -> Tensor:
        flavor, (rows, positions) = self._flavor, where
        heads = qkv.view(*positions.shape, -1, flavor.head_dim)
        turned = rotate_by(heads, turns)  # the turns of the values are zero
        queries, new = turned.split((flavor.num_heads, 2 * flavor.num_kv_heads), dim=2)
        cache[:, rows, :, positions] = new.unflatten(2, (2, -1))
        # The queries that share a key head stand side by side, as if they were further positions.
        grouped = queries.unflatten(2, (flavor.num_kv_heads, -1)).transpose(1, 2).flatten(2, 3)
        keys, values = cache[:, :, :, : mask.shape[-1]]
        attended = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
        return attended.unflatten(2, (positions.shape[1], -1)).transpose(1, 2).flatten(0, 1).flatten(1)


class TransformerStep:
    """A `Transformer` for making songs. While it is in use, its linear layers belong to it: see `StackedLinear`."""

    def __init__(self, transformer: Transformer):
        self._transformer, self.flavor = transformer, transformer.flavor
        self._layers = [LayerStep(layer, transformer.flavor) for layer in transformer.layers]
        self._turns = transformer.turns(transformer.norm.scale.device)
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
        flavor = self.flavor
        group = flavor.num_heads // flavor.num_kv_heads
        mask = attention_mask(positions, span, group, cache.tensor.dtype)
        turns = self._turns_of_heads(positions)
        flat = x.flatten(0, 1).clone()
        for layer, layer_cache in zip(self._layers, cache.tensor, strict=True):
            self.before_layer()
            flat = layer(flat, turns, mask, (cache.rows, positions), layer_cache)
        return self._transformer.norm(flat).view_as(x)

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
