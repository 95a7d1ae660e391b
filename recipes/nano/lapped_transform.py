"""Start the SQ codec as a lapped transform, so that pitch survives from the first step and training adds the rest.

Two MDCTs in a row, both orthogonal (Princen & Bradley 1987): one over the waveform, one over a few steps of each low
band in time. Their coefficients are the first latents; the others start at random and are free to learn what lies
above. The taps are such that the decoder's look-ahead of two latents makes up for the encoder's delay.
"""

import math

import torch
from torch import Tensor, nn

from heartmula_studio.arch.scalar_codec import ResidualUnit, ScalarCodec

TRANSFORM_LATENTS = 96
LATENT_SCALE = 0.15
"""Mean magnitude of a latent: few reach the ends of tanh, few vanish in the first rounding step of 1/9."""

QUIET = 0.1


def mdct_basis(num_bands: int) -> Tensor:
    """The orthonormal MDCT with a sine window, one filter a row: [num_bands, 2 · num_bands]."""
    i = torch.arange(2 * num_bands, dtype=torch.float64)
    k = torch.arange(num_bands, dtype=torch.float64)[:, None]
    window = torch.sin(math.pi / (2 * num_bands) * (i + 0.5))
    cosines = torch.cos(math.pi / num_bands * (i + 0.5 + num_bands / 2) * (k + 0.5))
    return (math.sqrt(2 / num_bands) * window * cosines).float()


@torch.no_grad()
def start_as_transform(codec: ScalarCodec, waveforms: Tensor) -> None:
    """Overwrite the random weights of a causal codec with one stage; `waveforms` [B, 1, T] set the latents' scale."""
    config = codec.config
    assert config.causal, config
    assert config.num_samples == 1, config
    assert len(config.downsample_factors) == 1, config
    for module in codec.modules():
        if isinstance(module, ResidualUnit):
            scale_weight(module.conv2, QUIET)
    analysis, encoder_block, to_latents = codec.encoder
    from_latents, decoder_block, synthesis = codec.decoder
    bands, steps = mdct_basis(config.num_bands), mdct_basis(config.downsample_factors[0])
    write_analysis(analysis, bands)
    write_steps(encoder_block.down_conv.layer, steps)
    encoder_block.down_conv.activation.weight.fill_(1)
    gains = LATENT_SCALE / codec_magnitudes(codec, waveforms)
    write_gains(to_latents, gains)
    write_gains(from_latents, 1 / gains)
    write_steps(decoder_block.up_conv.layer, steps)
    write_synthesis(synthesis, bands)


def scale_weight(layer: nn.Module, factor: float) -> None:
    layer.weight = layer.weight * factor
    layer.bias.zero_()


def write_analysis(layer: nn.Conv1d, bands: Tensor) -> None:
    """Channel k is band k; the last two taps hear the block before and the current one."""
    size = len(bands)
    scale_weight(layer, QUIET)
    weight = layer.weight.clone()
    weight[:size] = 0
    weight[:size, :, -2:] = bands.unflatten(1, (2, size)).transpose(1, 2)
    layer.weight = weight


def write_steps(layer: nn.Conv1d | nn.ConvTranspose1d, steps: Tensor) -> None:
    """Slow channel `band · num_steps + m` is filter m over the steps of fast channel `band`, either way round."""
    scale_weight(layer, QUIET)
    weight = layer.weight.clone()
    weight[:TRANSFORM_LATENTS] = 0
    for slow in range(TRANSFORM_LATENTS):
        band, m = divmod(slow, len(steps))
        weight[slow, band] = steps[m]
    layer.weight = weight


def write_gains(layer: nn.Conv1d, gains: Tensor) -> None:
    """Channel i is channel i at the last tap, times its gain."""
    scale_weight(layer, QUIET)
    weight = layer.weight.clone()
    weight[:TRANSFORM_LATENTS] = 0
    index = torch.arange(TRANSFORM_LATENTS)
    weight[index, index, -1] = gains
    layer.weight = weight


def write_synthesis(layer: nn.Conv1d, bands: Tensor) -> None:
    """Block t is the first half of band frame t + 1, which the look-ahead has brought to t, and the second of t."""
    size = len(bands)
    layer.bias.zero_()
    weight = layer.weight * QUIET
    weight[:, :size, :-2] = 0
    weight[:, :size, -2:] = bands.unflatten(1, (2, size)).flip(1).permute(2, 0, 1)
    layer.weight = weight


def codec_magnitudes(codec: ScalarCodec, waveforms: Tensor) -> Tensor:
    """Mean magnitude of each transform coefficient before the last layer of the encoder: [TRANSFORM_LATENTS]."""
    x = waveforms.unflatten(-1, (-1, codec.config.num_bands)).squeeze(1).transpose(1, 2)
    for layer in list(codec.encoder)[:-1]:
        x = layer(x)
    return x[:, :TRANSFORM_LATENTS].abs().mean((0, 2)).clamp_min(1e-6)
