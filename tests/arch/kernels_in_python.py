"""Compares every kernel with plain PyTorch. On a machine without a GPU, run with TRITON_INTERPRET=1."""

import torch
import torch.nn.functional as F

from heartmula_studio.arch import kernels
from heartmula_studio.arch.rotary import inverse_frequencies, rotate_by, turn_table
from heartmula_studio.generate.sampling import AudioIds, allowed_ids, guide, sample

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EXACT = {"atol": 2e-6, "rtol": 2e-6}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE)


def rms_norm() -> None:
    x, scale = random(3, 48), random(48)
    torch.testing.assert_close(kernels.rms_norm(x, scale, 1e-5), F.rms_norm(x, (48,), scale, 1e-5), **EXACT)


def gated() -> None:
    wide = random(3, 2 * 1100 + 7)
    gate, up = wide[:, :1100], wide[:, 1100:2200]
    torch.testing.assert_close(kernels.gated(wide[:, :2200]), F.silu(gate) * up, **EXACT)


def turn_and_store() -> None:
    rows, steps, heads, kv_heads, head_dim, length = 2, 2, 6, 2, 24, 16
    turns = turn_table(inverse_frequencies(head_dim, 100.0), length, DEVICE)
    positions = torch.tensor([[3, 4], [9, 10]], device=DEVICE)
    cache = random(2, rows, kv_heads, length, head_dim)
    expected_cache = cache.clone()
    wide = random(rows * steps, (heads + 2 * kv_heads) * head_dim + 6)
    qkv = wide[:, :-6].unflatten(1, (-1, head_dim)).unflatten(0, (rows, steps))
    turned = rotate_by(qkv[:, :, : heads + kv_heads], turns[positions][:, :, None])
    for row in range(rows):
        for step, position in enumerate(positions[row]):
            expected_cache[0, row, :, position] = turned[row, step, heads:]
            expected_cache[1, row, :, position] = qkv[row, step, heads + kv_heads :]
    grouped = turned[:, :, :heads].unflatten(2, (kv_heads, -1)).transpose(1, 2).flatten(2, 3)
    queries = kernels.turn_and_store(wide[:, :-6], turns, positions, cache, heads)
    torch.testing.assert_close(queries, grouped, **EXACT)
    torch.testing.assert_close(cache, expected_cache, **EXACT)


def softmax_up_to() -> None:
    positions, group, span = torch.tensor([[3, 4], [9, 10]], device=DEVICE), 3, 12
    scores = random(2, 2, 2 * group, span)
    ahead = torch.arange(span, device=DEVICE) > positions.repeat_interleave(group, dim=1)[:, None, :, None]
    expected = (scores * 0.3).masked_fill(ahead, -torch.inf).softmax(-1)
    torch.testing.assert_close(kernels.softmax_up_to(scores, positions, 0.3), expected, **EXACT)


def add_low_rank() -> None:
    stacked, up, total, gain = random(3, 1100 + 35), random(35, 1100), random(3, 1100), random(1100)
    for gain_or_none, base in ((None, stacked[:, :1100]), (gain, stacked[:, :1100] * gain)):
        product = base + stacked[:, 1100:] @ up
        summed = kernels.add_low_rank(total.clone(), stacked, up, gain_or_none, is_sum=True)
        torch.testing.assert_close(summed, total + product, atol=1e-5, rtol=1e-5)
        copy = stacked.clone()
        kernels.add_low_rank(copy[:, :1100], copy, up, gain_or_none, is_sum=False)
        torch.testing.assert_close(copy[:, :1100], product, atol=1e-5, rtol=1e-5)


def draw() -> None:
    """The very ids that the plain way draws, but where an unlike rounding lets a sum pass the drawn number."""
    allowed = allowed_ids(1100, AudioIds(1000, 1001), DEVICE)[1:]
    for topk in (1, 50, 1100):
        logits, scale = 3 * random(40, 1100), 1 + random(20, 1).abs()
        temperature, uniform = 0.5 + random(20, 1).abs(), torch.rand(20, 3, device=DEVICE)[:, 1]
        for rows in (logits, logits[:20]):
            ids = kernels.draw(rows, scale, allowed, uniform, temperature, topk)
            expected = sample(guide(rows, scale), allowed, uniform, temperature, topk)
            assert (ids == expected).float().mean() > 0.9, (ids, expected)
            assert allowed[0, ids].all()


if __name__ == "__main__":
    torch.manual_seed(0)
    for check in (rms_norm, gated, turn_and_store, softmax_up_to, add_low_rank, draw):
        check()
        print(check.__name__)
