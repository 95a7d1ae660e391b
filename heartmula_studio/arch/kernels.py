"""Steps of a generated frame that are several kernels in PyTorch and one here, in Triton, for NVIDIA GPUs.

A frame of the 3B takes about as long for reading its weights as for everything between its matrix products: with two
rows of numbers, each kernel costs two to five millionths of a second whatever it does, and there are over a thousand.
All compute in float32 and round once. `llama_step` and `sampling` hold what each stands for in plain PyTorch.
"""

import functools
import logging

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch brings it only where there can be an NVIDIA GPU
    triton = None

log = logging.getLogger(__name__)


@functools.cache
def are_usable(device: torch.device) -> bool:
    """Whether kernels can be built for this device, which takes Triton and a C compiler."""
    if device.type != "cuda" or triton is None:
        return False
    try:
        with torch.cuda.device(device):
            gated(torch.zeros(1, 2, device=device))
    except Exception as error:  # Triton raises whatever the compiler trips over
        log.warning("Songs are made without kernels of our own, which is slower: %s", error)
        return False
    return True


def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """[N, D] → [N, D], each row divided by its root mean square, times `scale` [D]."""
    y, size = torch.empty_like(x), x.shape[1]
    _rms_norm[(len(x),)](x, scale, y, eps, size, triton.next_power_of_2(size), num_warps=8)
    return y


def gated(gate_up: Tensor) -> Tensor:
    """[N, 2 · I] → [N, I]: `silu(gate) * up`. Rows may lie apart."""
    size = gate_up.shape[1] // 2
    y = gate_up.new_empty(len(gate_up), size)
    _gated[(len(gate_up), triton.cdiv(size, 1024))](gate_up, y, gate_up.stride(0), size, 1024)
    return y


def turn_and_store(qkv: Tensor, turns: Tensor, positions: Tensor, cache: Tensor, num_heads: int) -> Tensor:
    """Turn queries and keys by their positions, and write keys and values into the cache.

    qkv: [R·T, (heads + 2 · kv heads) · head_dim], rows may lie apart; turns: [length, head_dim / 2] complex64;
    positions: [R, T]; cache: [2, R, kv heads, length, head_dim].
    Returns the queries [R, kv heads, T · group, head_dim]: those that share a key head side by side.
    """
    _, rows, kv_heads, _, head_dim = cache.shape
    group, steps = num_heads // kv_heads, positions.shape[1]
    queries = qkv.new_empty(rows, kv_heads, steps * group, head_dim)
    half = head_dim // 2
    _turn_and_store[(rows * steps, num_heads + 2 * kv_heads)](
        qkv, torch.view_as_real(turns), positions.contiguous(), queries, cache,
        qkv.stride(0), cache.stride(0), cache.stride(1), cache.stride(2), steps,
        num_heads, kv_heads, group, half, triton.next_power_of_2(half),
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


def add_low_rank(total: Tensor, stacked: Tensor, up: Tensor, gain: Tensor | None, is_sum: bool) -> Tensor:
    """Write `gain · stacked[:, :out] + stacked[:, out:] @ up` into `total` [N, out], or with `is_sum` add it to that.

    stacked: [N, out + r]; up: [r, out]; gain: [out] or None. `total` may be a part of `stacked`.
    """
    rank, size = up.shape
    _add_low_rank[(len(total), triton.cdiv(size, 256))](
        total, stacked, up, up if gain is None else gain, total.stride(0), stacked.stride(0), rank, size,
        is_sum, gain is not None, 32, 256,
    )  # fmt: skip
    return total


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


if triton is not None:

    @triton.jit
    def _rms_norm(x, scale, y, eps, SIZE: tl.constexpr, BLOCK: tl.constexpr):
        columns = tl.arange(0, BLOCK)
        inside = columns < SIZE
        values = tl.load(x + tl.program_id(0) * SIZE + columns, mask=inside, other=0.0).to(tl.float32)
        inverse = 1.0 / tl.sqrt(tl.sum(values * values, axis=0) / SIZE + eps)
        scales = tl.load(scale + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(y + tl.program_id(0) * SIZE + columns, values * inverse * scales, mask=inside)

    @triton.jit
    def _gated(gate_up, y, stride, SIZE: tl.constexpr, BLOCK: tl.constexpr):
        row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < SIZE
        gate = tl.load(gate_up + row * stride + columns, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(gate_up + row * stride + SIZE + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(y + row * SIZE + columns, gate / (1.0 + tl.exp(-gate)) * up, mask=inside)

    @triton.jit
    def _turn_and_store(
        qkv, turns, positions, queries, cache, stride, kind_stride, row_stride, head_stride, STEPS,
        HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HALF: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        at, head = tl.program_id(0), tl.program_id(1)
        row, step = at // STEPS, at % STEPS
        position = tl.load(positions + at)
        pairs = tl.arange(0, BLOCK)
        inside = pairs < HALF
        source = qkv + at * stride + head * 2 * HALF + 2 * pairs
        even = tl.load(source, mask=inside, other=0.0).to(tl.float32)
        odd = tl.load(source + 1, mask=inside, other=0.0).to(tl.float32)
        if head < HEADS + KV_HEADS:
            turn = turns + position * 2 * HALF + 2 * pairs
            cos, sin = tl.load(turn, mask=inside, other=0.0), tl.load(turn + 1, mask=inside, other=0.0)
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

    @triton.jit
    def _add_low_rank(
        total, stacked, up, gain, total_stride, stride, RANK: tl.constexpr, SIZE: tl.constexpr,
        IS_SUM: tl.constexpr, HAS_GAIN: tl.constexpr, PART: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < SIZE
        values = tl.load(stacked + row * stride + columns, mask=inside, other=0.0).to(tl.float32)
        if HAS_GAIN:
            values *= tl.load(gain + columns, mask=inside, other=0.0)
        for start in range(0, RANK, PART):
            numbers = start + tl.arange(0, PART)
            low = tl.load(stacked + row * stride + SIZE + numbers, mask=numbers < RANK, other=0.0).to(tl.float32)
            is_there = (numbers < RANK)[:, None] & inside[None, :]
            part = tl.load(up + numbers[:, None] * SIZE + columns[None, :], mask=is_there, other=0.0)
            values += tl.sum(low[:, None] * part.to(tl.float32), axis=0)
        target = total + row * total_stride + columns
        if IS_SUM:
            values += tl.load(target, mask=inside, other=0.0).to(tl.float32)
        tl.store(target, values, mask=inside)
