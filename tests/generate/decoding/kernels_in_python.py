"""Compares every kernel with plain PyTorch. On a machine without a GPU, run with TRITON_INTERPRET=1."""

import torch
import torch.nn.functional as F

from heartmula_studio.arch import float32_linear
from heartmula_studio.arch.rotary import apply_rope, inverse_frequencies, rope_table
from heartmula_studio.generate.decoding import triton_kernels
from heartmula_studio.generate.decoding.fused_linear import DeferredLinear
from heartmula_studio.generate.decoding.sampling import AudioVocabulary, apply_cfg, sample_top_k, valid_token_mask

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE)


def products(num_rows: int, *sizes: int) -> list[DeferredLinear]:
    """Of fused layers of these sizes: without an adapter, with one of few ranks, and with a DoRA of many."""
    outputs = sum(sizes)
    (few, up_few), (many, up_many) = (adapted(num_rows, sizes, rank) for rank in (5, 19))
    return [
        DeferredLinear(random(num_rows, outputs), up_few[:, :0], None),
        DeferredLinear(few, up_few, None, random(num_rows, 3).square()),
        DeferredLinear(many, up_many, random(outputs)),
    ]


def adapted(num_rows: int, sizes: tuple[int, ...], rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and `up` of a product."""
    values = random(num_rows, sum(sizes) + len(sizes) * rank)
    return values, torch.block_diag(*(random(size, rank) for size in sizes)).to(DEVICE)


def total(product: DeferredLinear) -> torch.Tensor:
    return product._replace(values=product.values.clone()).materialize().contiguous()


def fused_add_rms_norm() -> None:
    x, scale = random(3, 600), random(600)
    for product in products(3, 600):
        product = product._replace(mean_square=None)
        expected, after = x + total(product), x.clone()
        normed = triton_kernels.fused_add_rms_norm(after, product, scale, 0.1)
        torch.testing.assert_close(after, expected, **CLOSE)
        torch.testing.assert_close(normed.materialize(), F.rms_norm(expected, (600,), scale, 0.1), **CLOSE)


def silu_and_mul() -> None:
    for product in products(3, 700, 700):
        gate, up = total(product).chunk(2, dim=1)
        torch.testing.assert_close(triton_kernels.silu_and_mul(product), F.silu(gate) * up, **CLOSE)


def rope_and_update_kv_cache() -> None:
    rows, steps, heads, kv_heads, head_dim, length = 2, 2, 6, 2, 24, 16
    turns = rope_table(inverse_frequencies(head_dim, 100.0), length, DEVICE)
    positions = torch.tensor([[3, 4], [9, 10]], device=DEVICE)
    for product in products(rows * steps, heads * head_dim, kv_heads * head_dim, kv_heads * head_dim):
        cache = random(2, rows, kv_heads, length, head_dim)
        expected_cache = cache.clone()
        qkv = total(product).unflatten(1, (-1, head_dim)).unflatten(0, (rows, steps))
        turned = apply_rope(qkv[:, :, : heads + kv_heads], turns[positions][:, :, None])
        for row in range(rows):
            for step, position in enumerate(positions[row]):
                expected_cache[0, row, :, position] = turned[row, step, heads:]
                expected_cache[1, row, :, position] = qkv[row, step, heads + kv_heads :]
        grouped = turned[:, :, :heads].unflatten(2, (kv_heads, -1)).transpose(1, 2).flatten(2, 3)
        queries = triton_kernels.rope_and_update_kv_cache(product, turns, positions, cache, heads)
        torch.testing.assert_close(queries, grouped, **CLOSE)
        torch.testing.assert_close(cache, expected_cache, **CLOSE)


def causal_softmax() -> None:
    positions, group, span = torch.tensor([[3, 4], [9, 10]], device=DEVICE), 3, 12
    scores = random(2, 2, 2 * group, span)
    ahead = torch.arange(span, device=DEVICE) > positions.repeat_interleave(group, dim=1)[:, None, :, None]
    expected = (scores * 0.3).masked_fill(ahead, -torch.inf).softmax(-1)
    torch.testing.assert_close(triton_kernels.causal_softmax(scores, positions, 0.3), expected, **CLOSE)


def draw() -> None:
    """The very ids that the plain way sampling_noise, but where an unlike rounding lets a sum pass the drawn number."""
    masks = valid_token_mask(1100, AudioVocabulary(1000, 1001), DEVICE)
    allowed = masks[torch.arange(20, device=DEVICE) % 2]  # every other song may end
    for topk in (1, 50, 1100):
        logits, scale = 3 * random(40, 1100), 1 + random(20, 1).abs()
        temperature, uniform = 0.5 + random(20, 1).abs(), torch.rand(20, 3, device=DEVICE)[:, 1]
        for rows in (logits, logits[:20]):
            ids = triton_kernels.sample_top_k(rows, scale, allowed, uniform, temperature, topk)
            expected = sample_top_k(apply_cfg(rows, scale), allowed, uniform, temperature, topk)
            assert (ids == expected).float().mean() > 0.9, (ids, expected)
            assert allowed.gather(1, ids[:, None]).all()


def float32_products() -> None:
    """On a GPU also: no further from the exact product than PyTorch's is."""
    x, weight = random(300, 96), random(192, 96)
    exact, product = x.double() @ weight.double().T, float32_linear.product(x, weight)
    torch.testing.assert_close(product, exact.float(), atol=2e-5, rtol=1e-5)
    plain = (F.linear(x, weight) - exact).abs().mean()
    assert (product - exact).abs().mean() <= 1.1 * plain


if __name__ == "__main__":
    torch.manual_seed(0)
    for check in (fused_add_rms_norm, silu_and_mul, rope_and_update_kv_cache, causal_softmax, draw, float32_products):
        check()
        print(check.__name__)
