"""What the flow learns from: codes and SQ latents of pieces, in small files, and random crops of them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.scalar_codec import QUANTISER_STEPS
from heartmula_studio.files.atomic import replaced_file


def write_pair(path: Path, codes: Tensor, latents: Tensor) -> None:
    """Keep codes [K, T] and latents [2T, C], both as int8: the decoder rounds latents to ninths and hears no more.

    What one of them has more at its end is left out.
    """
    frames = min(codes.shape[1], len(latents) // LATENTS_PER_FRAME)
    ninths = (QUANTISER_STEPS * latents[: LATENTS_PER_FRAME * frames]).round()
    arrays = {"codes": codes[:, :frames], "ninths": ninths.T}  # channels in turn: what is alike takes less space
    with replaced_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: part.to(torch.int8).contiguous().numpy() for name, part in arrays.items()})


def read_pair(path: Path) -> tuple[Tensor, Tensor]:
    """Codes [K, T] and ninths [2T, C], int8 both."""
    with np.load(path) as pair:
        return torch.from_numpy(pair["codes"]), torch.from_numpy(pair["ninths"]).T


class PairPool:
    """The pairs of a folder that are long enough for every crop, one after the other on one device."""

    def __init__(self, folder: Path, shortest_frames: int, device: torch.device):
        pairs = [read_pair(path) for path in sorted(folder.glob("*.npz"))]
        pairs = [(codes, ninths) for codes, ninths in pairs if codes.shape[1] >= shortest_frames]
        self.lengths = np.array([codes.shape[1] for codes, _ in pairs])
        self.starts = self.lengths.cumsum() - self.lengths
        self.codes = torch.cat([codes.T for codes, _ in pairs]).to(device)
        self.ninths = torch.cat([ninths for _, ninths in pairs]).unflatten(0, (-1, LATENTS_PER_FRAME)).to(device)

    def crops(self, count: int, frames: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Codes [count, frames, K] and latents [count, 2 · frames, C] of random stretches."""
        chosen = rng.choice(len(self.lengths), size=count, p=self.lengths / self.lengths.sum())
        first = self.starts[chosen] + rng.integers(0, self.lengths[chosen] - frames + 1)
        rows = torch.from_numpy(first[:, None] + np.arange(frames)).to(self.codes.device)
        return self.codes[rows].long(), self.ninths[rows].flatten(1, 2).float() / QUANTISER_STEPS
