"""Residual vector quantisation: each codebook says what the ones before it have left of a feature.

Computes what `ResidualVQ` of vector-quantize-pytorch does in eval mode, bit for bit, with its tensor names. The library
itself, which also trains codebooks, takes longer to import than a short song takes to encode.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_SQUARED_DISTANCE = 1e-8


class Codebook(nn.Module):
    """`size` codewords of `dim`, and the running averages that training keeps of them."""

    embed: Tensor

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("initted", torch.tensor(True))
        self.register_buffer("cluster_size", torch.ones(1, size))
        self.register_buffer("embed_avg", torch.zeros(1, size, dim))
        self.register_buffer("embed", torch.zeros(1, size, dim))

    def nearest(self, x: Tensor) -> Tensor:
        """[N, dim] → indices [N] of the nearest codewords."""
        codewords = self.embed[0]
        squared = (x**2).sum(-1)[:, None] + (codewords**2).sum(-1)[None] + x @ codewords.T * -2
        return squared.clamp(min=MIN_SQUARED_DISTANCE).sqrt().argmin(-1)


class Level(nn.Module):
    """A codebook under the name that it has in a checkpoint."""

    def __init__(self, size: int, dim: int):
        super().__init__()
        self._codebook = Codebook(size, dim)

    @property
    def codebook(self) -> Codebook:
        return self._codebook


class ResidualQuantiser(nn.Module):
    """Codebooks of `codebook_dim` between two projections, which are left out where features are as wide.

    Raises ValueError without a codebook.
    """

    def __init__(self, dim: int, codebook_size: int, codebook_dim: int, num_quantizers: int):
        super().__init__()
        if num_quantizers < 1:
            raise ValueError(f"num_quantizers is {num_quantizers}, and must be at least 1")
        is_projected = codebook_dim != dim
        self.project_in = nn.Linear(dim, codebook_dim) if is_projected else nn.Identity()
        self.project_out = nn.Linear(codebook_dim, dim) if is_projected else nn.Identity()
        self.layers = nn.ModuleList(Level(codebook_size, codebook_dim) for _ in range(num_quantizers))

    def codebooks(self) -> list[Codebook]:
        return [cast(Level, level).codebook for level in self.layers]

    def encode(self, features: Tensor) -> Tensor:
        """Features [B, T, dim] → codes [B, T, K]."""
        residual, codes = self.project_in(features).flatten(0, 1), []
        for codebook in self.codebooks():
            codes.append(codebook.nearest(residual))
            residual = residual - F.embedding(codes[-1], codebook.embed[0])
        return torch.stack(codes, dim=-1).unflatten(0, features.shape[:2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, T, K] → quantised features [B, T, dim]."""
        pairs = zip(codes.unbind(-1), self.codebooks(), strict=True)
        words = torch.stack([F.embedding(indices, codebook.embed[0]) for indices, codebook in pairs])
        return cast(Tensor, self.project_out(words.sum(0)))
