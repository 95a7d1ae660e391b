"""Flow matching: codes at 12.5 Hz → latents at 25 Hz, by integrating a learned velocity from noise to data."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.velocity_network import Modulation, VelocityEstimator

SIGMA_MIN = 1e-6
NORM_TYPE = "ada_norm_single"


@dataclass(frozen=True)
class FlowMatchingConfig:
    """Sizes of the quantiser and the estimator; field names equal the keys of the codec's `config.json`."""

    dim: int = 512
    codebook_size: int = 8192
    codebook_dim: int = 32
    num_quantizers: int = 8
    decay: float = 0.9
    commitment_weight: float = 1.0
    threshold_ema_dead_code: int = 2
    use_cosine_sim: bool = False
    attention_head_dim: int = 64
    num_attention_heads: int = 24
    num_layers: int = 24
    num_layers_2: int = 6
    in_channels: int = 1024
    out_channels: int = 256
    norm_type: str = NORM_TYPE
    # Ours: what suits it (heartlib's for its own).
    guidance: float = 1.25

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that do not fit together."""
        if self.norm_type != NORM_TYPE:
            raise ValueError(f"norm_type is {self.norm_type!r}, and only {NORM_TYPE!r} is known")
        if self.use_cosine_sim:
            raise ValueError("use_cosine_sim is true, and only Euclidean distances are known")
        if self.guidance < 1:
            raise ValueError(f"guidance is {self.guidance}, below 1")
        inputs = 2 * self.out_channels + self.dim
        if self.in_channels != inputs:
            raise ValueError(f"in_channels is {self.in_channels} instead of 2 · out_channels + dim = {inputs}")


class FlowMatching(nn.Module):
    """The shared residual quantiser, the condition embedding and the velocity estimator."""

    def __init__(self, config: FlowMatchingConfig):
        super().__init__()
        self.config = config
        self.vq_embed = ResidualQuantiser(config.dim, config.codebook_size, config.codebook_dim, config.num_quantizers)
        self.cond_feature_emb = nn.Linear(config.dim, config.dim)
        self.zero_cond_embedding1 = nn.Parameter(torch.randn(config.dim))
        self.estimator = VelocityEstimator(
            num_heads=config.num_attention_heads,
            head_dim=config.attention_head_dim,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            num_layers=config.num_layers,
            num_layers_2=config.num_layers_2,
        )

    def condition(self, quantised: Tensor) -> Tensor:
        """Quantised features [B, T, dim] → condition at the latent rate [B, 2T, dim]."""
        return self.cond_feature_emb(quantised).repeat_interleave(LATENTS_PER_FRAME, dim=1)

    def decode(self, codes: Tensor, noise: Tensor, context: Tensor | None, num_steps: int, guidance: float) -> Tensor:
        """Integrate from `noise` (t = 0) to latents (t = 1) with Euler steps.

        codes: [B, K, T]; noise: [B, 2T, C]; context: [B, T_ctx, C], latents already known for the first T_ctx steps.
        Returns latents [B, 2T, C] whose first T_ctx steps equal `context`.
        """
        condition = self.condition(self.vq_embed.decode(codes.transpose(1, 2)))
        known = torch.zeros_like(noise)
        num_known = 0 if context is None else context.shape[1]
        if context is not None:
            known[:, :num_known] = context
        fixed = self._convolve_fixed(known, condition, is_guided=guidance > 1.0)
        times = torch.linspace(0, 1, num_steps + 1, device=noise.device, dtype=noise.dtype)
        first, second = self.estimator.modulate(times[:-1])
        new = noise[:, num_known:]
        for number, (t, step) in enumerate(zip(times[:-1], times.diff(), strict=True)):
            x = torch.cat((renoise(known, noise, t)[:, :num_known], new), dim=1)
            modulations = first.at(number), second.at(number)
            new = new + step * self._guided_velocity(x, fixed, modulations, guidance, num_known)
        return torch.cat((known[:, :num_known], new), dim=1)

    def _convolve_fixed(self, known: Tensor, condition: Tensor, is_guided: bool) -> list[Tensor]:
        """Convolve what is the same in all steps, first without the condition where there is guidance.

        All [B, T, …]; returns [1 or 2, B, D, T] for each stage of the estimator.
        """
        conditions = (torch.zeros_like(condition), condition) if is_guided else (condition,)
        inputs = torch.cat([torch.cat((known, each), dim=-1) for each in conditions])
        shares = self.estimator.convolve(inputs, first=self.config.out_channels)
        return [share.unflatten(0, (len(conditions), -1)) for share in shares]

    def _guided_velocity(
        self,
        x: Tensor,
        fixed: Sequence[Tensor],
        modulations: tuple[Modulation, Modulation],
        guidance: float,
        start: int,
    ) -> Tensor:
        """Velocity of x [B, T, C] at a time, from step `start` on; guidance leads away from no condition."""
        into_first, into_second = (
            (share + rest).flatten(0, 1) for share, rest in zip(self.estimator.convolve(x), fixed, strict=True)
        )
        velocities = self.estimator.velocity((into_first, into_second), modulations, start)
        if len(velocities) == len(x):
            return velocities
        without, with_condition = velocities.chunk(2)
        return without + guidance * (with_condition - without)


def renoise(latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The point at time `t` on the straight path from `noise` to `latents`; shapes broadcast."""
    return (1 - (1 - SIGMA_MIN) * t) * noise + t * latents
