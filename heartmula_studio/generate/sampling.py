"""From logits to one code: guidance, forbidden ids, temperature, top-k. Pure tensor maths."""

import torch
from torch import Tensor


def guide(logits: Tensor, cfg_scale: float) -> Tensor:
    """Apply classifier-free guidance (Ho & Salimans, 2022): `uncond + (cond - uncond) * cfg_scale`.

    `logits` [R, V]: row 0 conditional, row 1 (where guidance is on) unconditional. Returns [V].
    """
    assert logits.shape[0] in (1, 2), logits.shape
    if logits.shape[0] == 1:
        return logits[0]
    conditional, unconditional = logits
    return unconditional + (conditional - unconditional) * cfg_scale


def allowed_ids(vocab_size: int, codebook_size: int, end_id: int, may_end: bool, device: torch.device) -> Tensor:
    """Mark the ids that mean something, bool [V]: the codec's codes and, with `may_end`, the end of the song.

    The audio vocabulary is wider than the codebook (officially 8197 ids, 8192 codes, end id 8193);
    the remaining ids cannot be decoded and are never drawn.
    """
    assert codebook_size <= end_id < vocab_size, (codebook_size, end_id, vocab_size)
    ids = torch.arange(vocab_size, device=device)
    return (ids < codebook_size) | ((ids == end_id) & may_end)


def draws(seed: int, num_frames: int, num_codebooks: int) -> Tensor:
    """Draw all the chance of one song: uniform numbers [T, K] in [0, 1).

    They come from a CPU generator, so that a seed means the same on every device,
    and frame by frame, so that a longer song begins like a shorter one.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.rand(num_codebooks, generator=generator) for _ in range(num_frames)])


def sample(logits: Tensor, allowed: Tensor, uniform: Tensor, temperature: float, topk: int) -> Tensor:
    """Draw one id from the `topk` most likely allowed ones: the inverse of their cumulative distribution at `uniform`.

    `logits` [V], `allowed` bool [V], `uniform` [] in [0, 1). Returns an int64 scalar tensor;
    nothing here waits for the device.
    """
    scores = logits.float().masked_fill(~allowed, -torch.inf) / temperature
    top, ids = scores.topk(min(topk, scores.shape[-1]))
    cumulative = top.softmax(-1).cumsum(-1)
    # Scaled by the last entry, which rounding leaves off 1: the threshold stays below it, so the index stays in range.
    index = (cumulative <= uniform * cumulative[-1]).sum()
    return ids[index]
