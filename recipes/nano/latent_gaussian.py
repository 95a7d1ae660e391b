"""What codes tell of the SQ latents, as one Gaussian for each latent: the teacher that `train_flow` starts from.

A latent of a lapped transform has a random sign, so codes tell its scale and hardly its value. A small network finds
that out from the likelihood in minutes. For Gaussian latents, the best velocity is known exactly.
"""

from torch import Tensor, nn

from heartmula_studio.arch.flow_matching import SIGMA_MIN
from heartmula_studio.arch.frames import LATENTS_PER_FRAME

WIDTH = 384
SMALLEST_STD = 0.02  # below the rounding step of 1/9, all is silence


class LatentGaussian(nn.Module):
    """Quantised features [B, T, dim] → mean and standard deviation of the latents, [B, 2T, C] each."""

    def __init__(self, dim: int, channels: int):
        super().__init__()
        self.channels = channels
        self.layers = nn.Sequential(
            nn.Conv1d(dim, WIDTH, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(WIDTH, LATENTS_PER_FRAME * 2 * channels, 1),
        )

    def forward(self, quantised: Tensor) -> tuple[Tensor, Tensor]:
        both = self.layers(quantised.transpose(1, 2)).transpose(1, 2)
        mean, raw = both.unflatten(-1, (LATENTS_PER_FRAME, 2 * self.channels)).flatten(1, 2).chunk(2, dim=-1)
        return mean, SMALLEST_STD + nn.functional.softplus(raw - 2)


def negative_log_likelihood(latents: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Mean over all latents, in nats, without the constant."""
    return (std.log() + 0.5 * ((latents - mean) / std).square()).mean()


def best_velocity(x: Tensor, t: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The expected velocity at the point `x` of time `t`, where latents are Gaussian; shapes broadcast.

    x = (1 - t) · noise + t · latent, so noise and latent given x follow from the rule for Gaussians.
    """
    noise_scale = 1 - (1 - SIGMA_MIN) * t
    surprise = (x - t * mean) / (noise_scale.square() + (t * std).square())
    return mean + t * std.square() * surprise - (1 - SIGMA_MIN) * noise_scale * surprise
