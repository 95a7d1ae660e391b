"""Steps of a generated frame that are several kernels in PyTorch and one here, in Triton, for NVIDIA GPUs.

A frame of the 3B takes about as long for reading its weights as for everything between its matrix products: with two
rows of numbers, each kernel costs two to five millionths of a second whatever it does, and there are over a thousand.
All compute in float32 and round once, and those that read a product add the adapter's share of it: as a kernel of its
own, that cost a quarter of a frame. `llama_step` and `sampling` hold what each stands for in plain PyTorch.
"""

import functools
import logging

import torch
from torch import Tensor

from heartmula_studio.arch.stacked_linear import Normed, Product

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch brings it only where there can be an NVIDIA GPU
    triton = tl = None

log = logging.getLogger(__name__)

COLUMNS, WARPS = 256, 8  # of a row, for one block: few, as there are few rows


@functools.cache
def are_usable(device: torch.device) -> bool:
    """Whether kernels can be built for this device, which takes Triton and a C compiler."""
    if device.type != "cuda" or triton is None:
        return False
    try:
        with torch.cuda.device(device):
            zeros = torch.zeros(2, 2, device=device)
            gated(Product(zeros, zeros[:, :0], None))
    except Exception as error:  # Triton raises whatever the compiler trips over
        log.warning("Songs are made without kernels of our own, which is slower: %s", error)
        return False
    return True


def add_and_norm(total: Tensor, product: Product, scale: Tensor, eps: float) -> Normed:
    """Add a product to `total` [N, D] in place; return each row of that by its root mean square, times `scale` [D].

    It is left to be divided by that root, so that several multiprocessors can work on a row.
    """
    assert product.mean_square is None, "no product that is still to be divided is added to anything"
    (num_rows, size), parts = total.shape, triton.cdiv(total.shape[1], COLUMNS)
    y, mean_square = torch.empty_like(total), total.new_empty(num_rows, parts, dtype=torch.float32)
    _add_and_norm[(num_rows, parts)](
        total, *_tensors(product), scale, y, mean_square, eps, product.up.shape[1], size, product.gain is not None,
        COLUMNS, num_warps=WARPS,
    )  # fmt: skip
    return Normed(y, mean_square)


def gated(gate_up: Product) -> Tensor:
    """A product of [N, 2 · I] → [N, I]: `silu(gate) * up`."""
    size, rank = (length // 2 for length in gate_up.up.shape)
    y = gate_up.values.new_empty(len(gate_up.values), size)
    _gated[(len(y), triton.cdiv(size, COLUMNS))](
        *_tensors(gate_up), *_divisor(gate_up), y, rank, size, gate_up.gain is not None, COLUMNS, num_warps=WARPS
    )
    return y


def turn_and_store(qkv: Product, turns: Tensor, positions: Tensor, cache: Tensor, num_heads: int) -> Tensor:
    """Turn queries and keys by their positions, and write keys and values into the cache.

    qkv: a product of [R·T, (heads + 2 · kv heads) · head_dim]; turns: [length, head_dim / 2] complex64;
    positions: [R, T]; cache: [2, R, kv heads, length, head_dim].
    Returns the queries [R, kv heads, T · group, head_dim]: those that share a key head side by side.
    """
    _, rows, kv_heads, _, head_dim = cache.shape
    group, steps = num_heads // kv_heads, positions.shape[1]
    queries = qkv.values.new_empty(rows, kv_heads, steps * group, head_dim)
    half = head_dim // 2
    _turn_and_store[(rows * steps, num_heads + 2 * kv_heads)](
        *_tensors(qkv), *_divisor(qkv), torch.view_as_real(turns), positions.contiguous(), queries, cache,
        cache.stride(0), cache.stride(1), cache.stride(2), steps, qkv.up.shape[1] // 3, qkv.gain is not None,
        num_heads, kv_heads, group, half, triton.next_power_of_2(half), num_warps=2,
    )  # fmt: skip
    return queries


def softmax_up_to(scores: Tensor, positions: Tensor, scale: float) -> Tensor:
    """Softmax of scaled scores [R, kv heads, T · group, span] over the places up to each one's position [R, T]."""
    rows, kv_heads, queries, span = scores.shape
    weights, steps = torch.empty_like(scores), positions.shape[1]
    _softmax_up_to[(rows * kv_heads * queries,)](
        scores, positions.contiguous(), weights, scale, kv_heads * queries, steps, queries // steps, span,
        triton.next_power_of_2(span), num_warps=4 if span <= 1024 else 8,
    )  # fmt: skip
    return weights


def draw(logits: Tensor, cfg_scale: Tensor, allowed: Tensor, uniform: Tensor, temperature: Tensor, topk: int) -> Tensor:
    """What `sampling.guide` and then `sampling.sample` do: logits [R, V] → ids [N] int64.

    cfg_scale, temperature: [N, 1]; allowed: bool [1, V]; uniform: [N], its elements may lie apart.
    """
    num_songs, vocab_size = len(cfg_scale), logits.shape[1]
    ids = torch.empty(num_songs, dtype=torch.int64, device=logits.device)
    _draw[(num_songs,)](
        logits, cfg_scale, allowed, uniform, temperature, ids, num_songs, uniform.stride(0), min(topk, vocab_size),
        len(logits) > num_songs, vocab_size, triton.next_power_of_2(vocab_size), num_warps=16,
    )  # fmt: skip
    return ids


def _tensors(product: Product) -> tuple[Tensor, Tensor, Tensor]:
    """What kernels are told of a product; one without a gain has any tensor in its place."""
    assert product.up.is_contiguous(), "kernels read it row by row"
    return product.values, product.up, product.up if product.gain is None else product.gain


def _divisor(product: Product) -> tuple[Tensor, int]:
    """The parts of the mean square and their number; 0 and any tensor where there are none."""
    return (product.values, 0) if product.mean_square is None else (product.mean_square, product.mean_square.shape[1])


if triton is not None:

    @triton.jit
    def _total(
        values, up, gain, row, columns, inside, layer, LAYERS: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr,
        HAS_GAIN: tl.constexpr,
    ):  # fmt: skip
        """Columns of a product's row, all of one of its layers, with the adapter's share, in float32."""
        values += row * (SIZE + LAYERS * RANK)
        total = tl.load(values + columns, mask=inside, other=0.0).to(tl.float32)
        if HAS_GAIN:
            total *= tl.load(gain + columns, mask=inside, other=0.0)
        # As many as one request to memory brings: this takes as long as there are requests that wait for each other.
        AT_ONCE: tl.constexpr = 8 if RANK <= 8 else 16
        for start in range(0, RANK, AT_ONCE):
            ranks = start + tl.arange(0, AT_ONCE)
            places, is_there = layer * RANK + ranks, ranks < RANK
            low = tl.load(values + SIZE + places, mask=is_there, other=0.0).to(tl.float32)
            # Kept in the cache until the next frame, while gigabytes of weights pass through.
            part = up + columns[:, None] * (LAYERS * RANK) + places[None, :]
            part = tl.load(part, mask=inside[:, None] & is_there[None, :], other=0.0, eviction_policy="evict_last")
            total += tl.sum(low[None, :] * part.to(tl.float32), axis=1)
        return total

    @triton.jit
    def _inverse_root(mean_square, row, PARTS: tl.constexpr):
        """One by the root of a row's mean square, or 1 where there is none."""
        total = 1.0
        if PARTS > 0:
            total = 0.0
            for part in tl.static_range(PARTS):
                total += tl.load(mean_square + row * PARTS + part)
        return 1.0 / tl.sqrt(total)

    @triton.jit
    def _add_and_norm(
        total, values, up, gain, scale, y, mean_square, eps, RANK: tl.constexpr, SIZE: tl.constexpr,
        HAS_GAIN: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row, part = tl.program_id(0), tl.program_id(1)
        columns = part * BLOCK + tl.arange(0, BLOCK)
        inside = columns < SIZE
        before = tl.load(total + row * SIZE + columns, mask=inside, other=0.0)
        scales = tl.load(scale + columns, mask=inside, other=0.0).to(tl.float32)
        product = _total(values, up, gain, row, columns, inside, 0, 1, RANK, SIZE, HAS_GAIN)
        after = (before.to(tl.float32) + product).to(before.dtype)
        tl.store(total + row * SIZE + columns, after, mask=inside)
        after, num_parts = after.to(tl.float32), tl.num_programs(1)
        tl.store(mean_square + row * num_parts + part, tl.sum(after * after, axis=0) / SIZE + eps / num_parts)
        tl.store(y + row * SIZE + columns, after * scales, mask=inside)

    @triton.jit
    def _gated(
        values, ups, gain, mean_square, PARTS: tl.constexpr, y,
        RANK: tl.constexpr, SIZE: tl.constexpr, HAS_GAIN: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside, inverse = columns < SIZE, _inverse_root(mean_square, row, PARTS)
        gate = _total(values, ups, gain, row, columns, inside, 0, 2, RANK, 2 * SIZE, HAS_GAIN) * inverse
        up = _total(values, ups, gain, row, SIZE + columns, inside, 1, 2, RANK, 2 * SIZE, HAS_GAIN) * inverse
        tl.store(y + row * SIZE + columns, gate / (1.0 + tl.exp(-gate)) * up, mask=inside)

    @triton.jit
    def _turn_and_store(
        values, up, gain, mean_square, PARTS: tl.constexpr, turns, positions, queries, cache,
        kind_stride, row_stride, head_stride, STEPS, RANK: tl.constexpr, HAS_GAIN: tl.constexpr,
        HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HALF: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        at, head = tl.program_id(0), tl.program_id(1)
        row, step = at // STEPS, at % STEPS
        position, pairs = tl.load(positions + at), tl.arange(0, BLOCK)
        inside, inverse = pairs < HALF, _inverse_root(mean_square, at, PARTS)
        turn = turns + position * 2 * HALF + 2 * pairs
        cos, sin = tl.load(turn, mask=inside, other=0.0), tl.load(turn + 1, mask=inside, other=0.0)
        SIZE: tl.constexpr = (HEADS + 2 * KV_HEADS) * 2 * HALF
        numbers, layer = tl.arange(0, 2 * BLOCK), (head >= HEADS).to(tl.int32) + (head >= HEADS + KV_HEADS)
        columns = head * 2 * HALF + numbers
        both = _total(values, up, gain, at, columns, numbers < 2 * HALF, layer, 3, RANK, SIZE, HAS_GAIN)
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
    def _softmax_up_to(
        scores, positions, weights, scale, PER_ROW, STEPS, GROUP, SPAN: tl.constexpr, BLOCK: tl.constexpr
    ):
        query = tl.program_id(0)
        step = query % (STEPS * GROUP) // GROUP
        position = tl.load(positions + query // PER_ROW * STEPS + step)
        places = tl.arange(0, BLOCK)
        values = tl.load(scores + query * SPAN + places, mask=places < SPAN, other=0.0).to(tl.float32) * scale
        values = tl.where(places <= position, values, -float("inf"))
        exponentials = tl.exp(values - tl.max(values, axis=0))
        normed = exponentials / tl.sum(exponentials, axis=0)
        tl.store(weights + query * SPAN + places, normed, mask=places < SPAN)

    @triton.jit
    def _draw(
        logits, cfg_scale, allowed, uniform, temperature, ids, NUM_SONGS, uniform_stride, TOPK,
        IS_GUIDED: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        song = tl.program_id(0)
        each = tl.arange(0, BLOCK)
        inside = each < SIZE
        values = tl.load(logits + song * SIZE + each, mask=inside, other=0.0).to(tl.float32)
        if IS_GUIDED:
            without = tl.load(logits + (NUM_SONGS + song) * SIZE + each, mask=inside, other=0.0).to(tl.float32)
            values = without + (values - without) * tl.load(cfg_scale + song)
        is_allowed = tl.load(allowed + each, mask=inside, other=0) != 0
        scores = tl.where(is_allowed, values / tl.load(temperature + song), -float("inf"))
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
        bound = tl.load(uniform + song * uniform_stride) * tl.max(cumulative, axis=0)
        tl.store(ids + song, tl.sum((cumulative <= bound).to(tl.int64), axis=0))
