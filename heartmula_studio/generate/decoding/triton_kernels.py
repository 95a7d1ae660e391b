"""Fused Triton kernels for decoding one frame on NVIDIA GPUs.

Decoding is launch-bound: with two rows, each of over a thousand kernels costs two to five microseconds whatever it
does, in all about as much as reading the weights. All compute in float32 and round once; those that consume a
`DeferredLinear` add its LoRA term, which cost a quarter of a frame as a kernel of its own. `cached_transformer` and
`sampling` hold the same in plain PyTorch.
"""

import torch
from torch import Tensor

from heartmula_studio.arch.triton_support import tl, triton
from heartmula_studio.generate.decoding.fused_linear import DeferredLinear, DeferredRMSNorm

COLUMNS, WARPS = 256, 8  # of a row, for one block: few, as there are few rows


def fused_add_rms_norm(total: Tensor, product: DeferredLinear, scale: Tensor, eps: float) -> DeferredRMSNorm:
    """Add `product` to the residual stream `total` [N, D] in place; return its RMSNorm with `scale` [D].

    The division by the root mean square is left to the consumer, so that several multiprocessors can share a row.
    """
    assert product.mean_square is None, "a product that is still to be divided cannot be added"
    (num_rows, size), parts = total.shape, triton.cdiv(total.shape[1], COLUMNS)
    y, mean_square = torch.empty_like(total), total.new_empty(num_rows, parts, dtype=torch.float32)
    _fused_add_rms_norm[(num_rows, parts)](
        total, *_tensors(product), scale, y, mean_square, eps, product.up.shape[1], size,
        product.dora_scale is not None, COLUMNS, num_warps=WARPS,
    )  # fmt: skip
    return DeferredRMSNorm(y, mean_square)


def silu_and_mul(gate_up: DeferredLinear) -> Tensor:
    """SwiGLU's activation, [N, 2 · I] → [N, I]: `silu(gate) * up`."""
    size, rank = (length // 2 for length in gate_up.up.shape)
    y = gate_up.values.new_empty(len(gate_up.values), size)
    _silu_and_mul[(len(y), triton.cdiv(size, COLUMNS))](
        *_tensors(gate_up),
        *_mean_square(gate_up),
        y,
        rank,
        size,
        gate_up.dora_scale is not None,
        COLUMNS,
        num_warps=WARPS,
    )
    return y


def rope_and_update_kv_cache(
    qkv: DeferredLinear, rope_table: Tensor, positions: Tensor, cache: Tensor, num_heads: int
) -> Tensor:
    """Apply the rotary embedding to queries and keys, and write keys and values into the KV cache.

    qkv: [R·T, (heads + 2 · kv heads) · head_dim]; rope_table: [length, head_dim / 2] complex64;
    positions: [R, T]; cache: [2, R, kv heads, length, head_dim].
    Returns the queries [R, kv heads, T · group, head_dim]: those that share a key head side by side.
    """
    _, rows, kv_heads, _, head_dim = cache.shape
    group, steps = num_heads // kv_heads, positions.shape[1]
    queries = qkv.values.new_empty(rows, kv_heads, steps * group, head_dim)
    half = head_dim // 2
    _rope_and_update_kv_cache[(rows * steps, num_heads + 2 * kv_heads)](
        *_tensors(qkv), *_mean_square(qkv), torch.view_as_real(rope_table), positions.contiguous(), queries, cache,
        cache.stride(0), cache.stride(1), cache.stride(2), steps, qkv.up.shape[1] // 3, qkv.dora_scale is not None,
        num_heads, kv_heads, group, half, triton.next_power_of_2(half), num_warps=2,
    )  # fmt: skip
    return queries


def causal_softmax(scores: Tensor, positions: Tensor, scale: float) -> Tensor:
    """Causal softmax of scaled scores [R, kv heads, T · group, kv_length], up to each step's position [R, T]."""
    rows, kv_heads, queries, kv_length = scores.shape
    weights, steps = torch.empty_like(scores), positions.shape[1]
    _causal_softmax[(rows * kv_heads * queries,)](
        scores, positions.contiguous(), weights, scale, kv_heads * queries, steps, queries // steps, kv_length,
        triton.next_power_of_2(kv_length), num_warps=4 if kv_length <= 1024 else 8,
    )  # fmt: skip
    return weights


def sample_top_k(
    logits: Tensor, cfg_scale: Tensor, valid_tokens: Tensor, noise: Tensor, temperature: Tensor, topk: int
) -> Tensor:
    """`sampling.apply_cfg` and then `sampling.sample_top_k`: logits [R, V] → ids [N] int64.

    cfg_scale, temperature: [N, 1]; valid_tokens: bool [N, V]; noise: [N], strided.
    """
    num_songs, vocab_size = len(cfg_scale), logits.shape[1]
    ids = torch.empty(num_songs, dtype=torch.int64, device=logits.device)
    _sample_top_k[(num_songs,)](
        logits, cfg_scale, valid_tokens, noise, temperature, ids, num_songs, noise.stride(0), min(topk, vocab_size),
        len(logits) > num_songs, vocab_size, triton.next_power_of_2(vocab_size), num_warps=16,
    )  # fmt: skip
    return ids


def _tensors(product: DeferredLinear) -> tuple[Tensor, Tensor, Tensor]:
    """A product as kernel arguments; without DoRA, any tensor stands in for its scale."""
    assert product.up.is_contiguous(), "kernels read it row by row"
    return product.values, product.up, product.up if product.dora_scale is None else product.dora_scale


def _mean_square(product: DeferredLinear) -> tuple[Tensor, int]:
    """The parts of the mean square and their number; 0 and any tensor where there are none."""
    return (product.values, 0) if product.mean_square is None else (product.mean_square, product.mean_square.shape[1])


if triton is not None:

    @triton.jit
    def _materialize(
        values, up, dora_scale, row, columns, inside, layer,
        LAYERS: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr, HAS_DORA_SCALE: tl.constexpr,
    ):  # fmt: skip
        """Columns of a row, all of one layer, with the LoRA term added, in float32."""
        values += row * (SIZE + LAYERS * RANK)
        total = tl.load(values + columns, mask=inside, other=0.0).to(tl.float32)
        if HAS_DORA_SCALE:
            total *= tl.load(dora_scale + columns, mask=inside, other=0.0)
        # As many as one load brings: this takes as long as there are loads that depend on each other.
        AT_ONCE: tl.constexpr = 8 if RANK <= 8 else 16
        for start in range(0, RANK, AT_ONCE):
            ranks = start + tl.arange(0, AT_ONCE)
            places, is_there = layer * RANK + ranks, ranks < RANK
            low = tl.load(values + SIZE + places, mask=is_there, other=0.0).to(tl.float32)
            # Kept in the L2 cache until the next frame, while gigabytes of weights pass through.
            part = up + columns[:, None] * (LAYERS * RANK) + places[None, :]
            part = tl.load(part, mask=inside[:, None] & is_there[None, :], other=0.0, eviction_policy="evict_last")
            total += tl.sum(low[None, :] * part.to(tl.float32), axis=1)
        return total

    @triton.jit
    def _inverse_rms(mean_square, row, PARTS: tl.constexpr):
        """Reciprocal root of a row's mean square, or 1 where there is none."""
        total = 1.0
        if PARTS > 0:
            total = 0.0
            for part in tl.static_range(PARTS):
                total += tl.load(mean_square + row * PARTS + part)
        return 1.0 / tl.sqrt(total)

    @triton.jit
    def _fused_add_rms_norm(
        total, values, up, dora_scale, scale, y, mean_square, eps, RANK: tl.constexpr, SIZE: tl.constexpr,
        HAS_DORA_SCALE: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row, part = tl.program_id(0), tl.program_id(1)
        columns = part * BLOCK + tl.arange(0, BLOCK)
        inside = columns < SIZE
        before = tl.load(total + row * SIZE + columns, mask=inside, other=0.0)
        scales = tl.load(scale + columns, mask=inside, other=0.0).to(tl.float32)
        product = _materialize(values, up, dora_scale, row, columns, inside, 0, 1, RANK, SIZE, HAS_DORA_SCALE)
        after = (before.to(tl.float32) + product).to(before.dtype)
        tl.store(total + row * SIZE + columns, after, mask=inside)
        after, num_parts = after.to(tl.float32), tl.num_programs(1)
        tl.store(mean_square + row * num_parts + part, tl.sum(after * after, axis=0) / SIZE + eps / num_parts)
        tl.store(y + row * SIZE + columns, after * scales, mask=inside)

    @triton.jit
    def _silu_and_mul(
        values, ups, dora_scale, mean_square, PARTS: tl.constexpr, y,
        RANK: tl.constexpr, SIZE: tl.constexpr, HAS_DORA_SCALE: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside, inverse = columns < SIZE, _inverse_rms(mean_square, row, PARTS)
        gate = (
            _materialize(values, ups, dora_scale, row, columns, inside, 0, 2, RANK, 2 * SIZE, HAS_DORA_SCALE) * inverse
        )
        up = (
            _materialize(values, ups, dora_scale, row, SIZE + columns, inside, 1, 2, RANK, 2 * SIZE, HAS_DORA_SCALE)
            * inverse
        )
        tl.store(y + row * SIZE + columns, gate / (1.0 + tl.exp(-gate)) * up, mask=inside)

    @triton.jit
    def _rope_and_update_kv_cache(
        values, up, dora_scale, mean_square, PARTS: tl.constexpr, rope_table, positions, queries, cache,
        kind_stride, row_stride, head_stride, STEPS, RANK: tl.constexpr, HAS_DORA_SCALE: tl.constexpr,
        HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HALF: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        at, head = tl.program_id(0), tl.program_id(1)
        row, step = at // STEPS, at % STEPS
        position, pairs = tl.load(positions + at), tl.arange(0, BLOCK)
        inside, inverse = pairs < HALF, _inverse_rms(mean_square, at, PARTS)
        rope = rope_table + position * 2 * HALF + 2 * pairs
        cos, sin = tl.load(rope, mask=inside, other=0.0), tl.load(rope + 1, mask=inside, other=0.0)
        SIZE: tl.constexpr = (HEADS + 2 * KV_HEADS) * 2 * HALF
        numbers, layer = tl.arange(0, 2 * BLOCK), (head >= HEADS).to(tl.int32) + (head >= HEADS + KV_HEADS)
        columns = head * 2 * HALF + numbers
        both = _materialize(
            values, up, dora_scale, at, columns, numbers < 2 * HALF, layer, 3, RANK, SIZE, HAS_DORA_SCALE
        )
        even, odd = tl.split(tl.reshape(both * inverse, (BLOCK, 2)))
        if head < HEADS + KV_HEADS:
            even, odd = even * cos - odd * sin, odd * cos + even * sin
        if head < HEADS:
            place = ((row * KV_HEADS + head // GROUP) * STEPS + step) * GROUP + head % GROUP
            tl.store(queries + place * 2 * HALF + 2 * pairs, even, mask=inside)
            tl.store(queries + place * 2 * HALF + 2 * pairs + 1, odd, mask=inside)
        else:
            kind, kv_head = (head - HEADS) // KV_HEADS, (head - HEADS) % KV_HEADS
            start = kind * kind_stride + row * row_stride + kv_head * head_stride + position * 2 * HALF
            tl.store(cache + start + 2 * pairs, even, mask=inside)
            tl.store(cache + start + 2 * pairs + 1, odd, mask=inside)

    @triton.jit
    def _causal_softmax(
        scores, positions, weights, scale, PER_ROW, STEPS, GROUP, KV_LENGTH: tl.constexpr, BLOCK: tl.constexpr
    ):
        query = tl.program_id(0)
        step = query % (STEPS * GROUP) // GROUP
        position = tl.load(positions + query // PER_ROW * STEPS + step)
        places = tl.arange(0, BLOCK)
        values = tl.load(scores + query * KV_LENGTH + places, mask=places < KV_LENGTH, other=0.0).to(tl.float32) * scale
        values = tl.where(places <= position, values, -float("inf"))
        exponentials = tl.exp(values - tl.max(values, axis=0))
        normed = exponentials / tl.sum(exponentials, axis=0)
        tl.store(weights + query * KV_LENGTH + places, normed, mask=places < KV_LENGTH)

    @triton.jit
    def _sample_top_k(
        logits, cfg_scale, valid_tokens, noise, temperature, ids, NUM_SONGS, noise_stride, TOPK,
        IS_GUIDED: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        song = tl.program_id(0)
        each = tl.arange(0, BLOCK)
        inside = each < SIZE
        values = tl.load(logits + song * SIZE + each, mask=inside, other=0.0).to(tl.float32)
        if IS_GUIDED:
            without = tl.load(logits + (NUM_SONGS + song) * SIZE + each, mask=inside, other=0.0).to(tl.float32)
            values = without + (values - without) * tl.load(cfg_scale + song)
        is_valid = tl.load(valid_tokens + song * SIZE + each, mask=inside, other=0) != 0
        scores = tl.where(is_valid, values / tl.load(temperature + song), -float("inf"))
        # Whole numbers in the order of the scores; the k-th largest is found bit by bit.
        bits = scores.to(tl.uint32, bitcast=True)
        sign = (bits >> 31) == 1
        keys = tl.where(sign, bits ^ 0xFFFFFFFF, bits | 0x80000000)
        threshold, bit = tl.zeros((), tl.uint32), tl.full((), 0x80000000, tl.uint32)
        for _ in range(32):
            count = tl.sum((keys >= (threshold | bit)).to(tl.int32), axis=0)
            threshold = tl.where(count >= TOPK, threshold | bit, threshold)
            bit = bit >> 1
        weights = tl.where(keys >= threshold, tl.exp(scores - tl.max(scores, axis=0)), 0.0)
        weights = weights / tl.sum(weights, axis=0)
        cumulative = tl.cumsum(weights, axis=0)
        bound = tl.load(noise + song * noise_stride) * tl.max(cumulative, axis=0)
        tl.store(ids + song, tl.sum((cumulative <= bound).to(tl.int64), axis=0))
