"""Start a language model from the codec's codewords, so that codes that sound alike are alike from the first step.

From random embeddings, a model this small would see each of 512 codes too rarely to find that out: in 700 steps it
learnt less than that the next code is often the same one.
"""

import torch
from torch import Tensor

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser

FRAME_LOUDNESS = 1.0  # root mean square of a frame's embedding: blocks begin by adding little to it
FIRST_SHARPNESS, NEXT_SHARPNESS = 0.15, 0.02  # of the first logits, the best of a few values


@torch.no_grad()
def start_from_codewords(model: HeartMuLa, quantiser: ResidualQuantiser) -> None:
    """Overwrite embeddings and heads of a model with random weights.

    All codebooks share one space. It is embedded in the first of a random set of axes, which the depth decoder sees
    too; the head of each codebook asks how near its codewords are.
    """
    codewords = [codebook.embed[0] for codebook in quantiser.codebooks()]  # K of [codes, codebook dim]
    axes = torch.linalg.qr(torch.randn(model.projection.in_features, model.projection.in_features))[0]
    width, depth_width = codewords[0].shape[1], model.projection.out_features
    model.projection.weight.copy_(axes[:depth_width])
    frame_std = torch.stack([book.square().sum(1).mean() for book in codewords]).sum().sqrt() / len(axes) ** 0.5
    vocabulary = model.config.audio_vocab_size
    for number, book in enumerate(codewords):
        rows = slice(number * vocabulary, number * vocabulary + len(book))
        model.audio_embeddings.weight[rows] = book @ axes[:width] * (FRAME_LOUDNESS / frame_std)
    model.codebook0_head.weight[: len(codewords[0])] = scaled(codewords[0], FIRST_SHARPNESS) @ axes[:width]
    for head, book in zip(model.audio_head, codewords[1:], strict=True):
        head[:width, : len(book)] = scaled(book, NEXT_SHARPNESS).T


def scaled(book: Tensor, sharpness: float) -> Tensor:
    """Codewords around their mean, such that a unit vector of a normed state gives logits this far apart."""
    centred = book - book.mean(0)
    return centred * (sharpness / centred.square().sum(1).mean().sqrt())
