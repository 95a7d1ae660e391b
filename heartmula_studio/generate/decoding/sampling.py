"""Sampling one code from logits: classifier-free guidance, valid tokens, temperature, top-k. Pure tensor maths."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AudioVocabulary:
    """Ids of the audio vocabulary: codes below `codebook_size`, and the end of the song."""

    codebook_size: int
    end_id: int


def apply_cfg(logits: Tensor, cfg_scale: Tensor) -> Tensor:
    """Apply classifier-free guidance (Ho & Salimans, 2022): `uncond + (cond - uncond) * cfg_scale`.

    `logits` [R, V]: those of N songs and, where guidance is on, the N unconditional ones behind them; `cfg_scale`
    [N, 1]. Returns [N, V].
    """
    num_rows, num_songs = logits.shape[0], cfg_scale.shape[0]
    assert num_rows in (num_songs, 2 * num_songs), (logits.shape, cfg_scale.shape)
    if num_rows == num_songs:
        return logits
    conditional, unconditional = logits.chunk(2)
    return torch.addcmul(unconditional, conditional - unconditional, cfg_scale)


def valid_token_mask(vocab_size: int, vocabulary: AudioVocabulary, device: torch.device) -> Tensor:
    """Mask of the ids that may be sampled, bool [2, V]: the codec's codes, and below them also the end of the song.

    The audio vocabulary is wider than the codebook (officially 8197 ids, 8192 codes, end id 8193);
    the remaining ids cannot be decoded and are never sampled.
    """
    assert vocabulary.codebook_size <= vocabulary.end_id < vocab_size, (vocabulary, vocab_size)
    ids = torch.arange(vocab_size, device=device)
    codes = ids < vocabulary.codebook_size
    return torch.stack((codes, codes | (ids == vocabulary.end_id)))


def sampling_noise(seed: int, num_frames: int, num_codebooks: int) -> Tensor:
    """Return all randomness of one song: uniform numbers [T, K] in [0, 1).

    They come from a CPU generator, so that a seed means the same on every device,
    and frame by frame, so that a longer song begins like a shorter one.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.rand(num_codebooks, generator=generator) for _ in range(num_frames)])


def sample_top_k(logits: Tensor, valid_tokens: Tensor, noise: Tensor, temperature: Tensor | float, topk: int) -> Tensor:
    """Sample one of the `topk` most likely valid ids: the inverse of their cumulative distribution at `noise`.

    `logits` [..., V], `valid_tokens` bool [V], `noise` [...] in [0, 1), `temperature` a number or [..., 1]. Of ids
    that are as likely as the last of the `topk`, all are kept. Returns int64 [...]; nothing here waits for the device.
    """
    scores = logits.float().masked_fill(~valid_tokens, -torch.inf) / temperature
    lowest = scores.topk(min(topk, scores.shape[-1])).values[..., -1:]
    cumulative = scores.masked_fill(scores < lowest, -torch.inf).softmax(-1).cumsum(-1)
    # Scaled by the last entry, which rounding leaves off 1: the threshold stays below it, so the index stays in range.
    return (cumulative <= noise[..., None] * cumulative[..., -1:]).sum(-1)
