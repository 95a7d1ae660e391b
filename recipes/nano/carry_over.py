"""Carry a language model over to another codec of as many codes, by which codes of the two come for the same music.

A new code is embedded as the old codes in its place are on average, and so is it told. That is far closer to what the
model knows than random weights.
"""

import torch
from torch import Tensor

from heartmula_studio.arch.heartmula import HeartMuLa


class SharedFrames:
    """Counts of the frames in which an old and a new code stand for the same music, [K, new codes, old codes]."""

    def __init__(self, num_codebooks: int, codebook_size: int):
        self._counts = torch.zeros(num_codebooks, codebook_size, codebook_size)

    def add(self, new_codes: Tensor, old_codes: Tensor) -> None:
        """Count the frames of one piece, by both codecs: [K, T] each."""
        for counts, new, old in zip(self._counts, new_codes.long(), old_codes.long(), strict=True):
            counts.index_put_((new, old), counts.new_ones(1), accumulate=True)

    def old_codes_in_place(self) -> Tensor:
        """How often each new code takes the place of each old one: [K, new codes, old codes], rows add up to 1.

        One that was not counted takes the place of all.
        """
        counts = self._counts + 1e-6
        return counts / counts.sum(-1, keepdim=True)


@torch.no_grad()
def carry_over(model: HeartMuLa, frames: SharedFrames) -> None:
    """Overwrite embeddings and heads of a model that has learnt the old codes; ids behind the codes stay."""
    for number, shares in enumerate(frames.old_codes_in_place()):
        first, size = number * model.config.audio_vocab_size, len(shares)
        embeddings = model.audio_embeddings.weight[first : first + size]
        embeddings.copy_(shares @ embeddings)
        head = model.codebook0_head.weight[:size].mT if number == 0 else model.audio_head[number - 1][:, :size]
        head.copy_(head @ shares.mT)
