"""Sequences continued step by step against the same ones in one pass."""

import pytest
import torch
from torch import Tensor, nn

from heartmula_studio.generate.decoding.cached_transformer import CachedTransformer
from heartmula_studio.generate.decoding.fused_linear import FusedLinear, LoraWeights


class AdaptedLayer(nn.Linear):
    """A linear layer with a low-rank adapter, as the stack is told of it and as plain arithmetic."""

    def __init__(self, size_in: int, size_out: int, rank: int, has_gain: bool = False):
        super().__init__(size_in, size_out, bias=False)
        dora_scale = 1 + torch.rand(size_out) if has_gain else None
        self.part: LoraWeights | None = LoraWeights(torch.randn(rank, size_in), torch.randn(size_out, rank), dora_scale)

    def lora_weights(self) -> LoraWeights | None:
        return self.part

    def merged_weight(self) -> None:
        return None

    def expected(self, x: Tensor) -> Tensor:
        base = self(x) if self.part.dora_scale is None else self(x) * self.part.dora_scale
        return base + x @ self.part.down.T @ self.part.up.T


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@torch.no_grad()
def test_steps_equal_one_pass(golden_heartmula):
    backbone = golden_heartmula.backbone
    x = torch.randn(2, 12, backbone.flavor.embed_dim)
    step = CachedTransformer(backbone)
    cache = step.new_cache(2, 16)
    pieces = [
        step(x[:, start:end], torch.arange(start, end).expand(2, -1), cache, 16)
        for start, end in ((0, 5), (5, 6), (6, 9), (9, 12))
    ]
    torch.testing.assert_close(torch.cat(pieces, dim=1), backbone(x), atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_sequences_of_different_lengths_are_continued_at_once(golden_heartmula):
    backbone = golden_heartmula.backbone
    x = torch.randn(2, 9, backbone.flavor.embed_dim)
    step = CachedTransformer(backbone)
    cache = step.new_cache(2, 16)
    step(x[:, :8], torch.arange(8).expand(2, -1), cache, 8)  # of the second sequence, five are padding
    last = step(x[:, 8:], torch.tensor([[8], [3]]), cache, 16)[:, 0]
    torch.testing.assert_close(last[0], backbone(x[:1])[0, -1], atol=2e-5, rtol=1e-5)
    short = torch.cat((x[1:, :3], x[1:, 8:]), dim=1)
    torch.testing.assert_close(last[1], backbone(short)[0, -1], atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_stacked_layers_are_the_layers_side_by_side():
    layers = [nn.Linear(6, size, bias=False) for size in (3, 5, 2)]
    x = torch.randn(4, 6)
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    stack = FusedLinear(layers)
    torch.testing.assert_close(stack(x).materialize(), expected)
    torch.testing.assert_close(torch.cat([layer(x) for layer in layers], dim=-1), expected)


@torch.no_grad()
@pytest.mark.parametrize("has_gain", [False, True])
def test_adapters_are_part_of_the_stack(has_gain):
    layers = [AdaptedLayer(6, 3, 2, has_gain), nn.Linear(6, 5, bias=False), AdaptedLayer(6, 2, 1)]
    x = torch.randn(4, 6)

    def expected() -> Tensor:
        return torch.cat((layers[0].expected(x), layers[1](x), layers[2].expected(x)), dim=-1)

    stack = FusedLinear(layers)
    torch.testing.assert_close(stack(x).materialize(), expected())
    layers[2].part = LoraWeights(layers[2].part.down, 3 * layers[2].part.up)
    stack.update_lora()
    torch.testing.assert_close(stack(x).materialize(), expected())


@torch.no_grad()
def test_weights_written_later_are_in_the_product_and_take_no_memory_twice():
    layers = [nn.Linear(6, size, bias=False) for size in (3, 5)]
    stack = FusedLinear(layers)
    storages = {layer.weight.untyped_storage().data_ptr() for layer in layers}
    assert len(storages) == 1
    layers[1].weight.copy_(torch.randn(5, 6))
    x = torch.randn(2, 6)
    torch.testing.assert_close(stack(x).materialize()[:, 3:], layers[1](x))
