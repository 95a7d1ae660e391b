"""The SQ codec's starting point: a transform that keeps low tones, found by arithmetic and not by training."""

import math

import torch

from heartmula_studio.arch.scalar_codec import ScalarCodec
from recipes.nano.lapped_transform import mdct_basis, start_as_transform
from recipes.nano.sizes import SAMPLE_RATE, SCALAR


def tones(*frequencies_hz: float) -> torch.Tensor:
    """A second of sines, [1, 1, T]."""
    t = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    return sum(0.1 * torch.sin(2 * math.pi * f * t) for f in frequencies_hz)[None, None]


def test_the_basis_is_orthonormal_and_cancels_its_aliasing():
    basis = mdct_basis(8)
    assert torch.allclose(basis @ basis.T, torch.eye(8), atol=1e-6)
    assert torch.allclose(basis[:, :8] @ basis[:, 8:].T, torch.zeros(8, 8), atol=1e-6)


def test_low_tones_survive_and_high_ones_do_not_before_any_training():
    torch.manual_seed(0)
    codec = ScalarCodec(SCALAR)
    low, high = tones(220, 523.25, 880), tones(5000)
    start_as_transform(codec, torch.cat((low, high)))
    with torch.no_grad():
        heard = codec.decode(codec.encode(low))
    inside = slice(SAMPLE_RATE // 4, -SAMPLE_RATE // 4)
    error = (heard - low)[..., inside].square().mean() / low[..., inside].square().mean()
    assert error < 0.1
