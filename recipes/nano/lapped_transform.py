"""Start the SQ codec as a lapped transform, so that pitch survives from the first step and training adds the rest.

Two MDCTs in a row, both orthogonal (Princen & Bradley 1987): one over the waveform, one over a few steps of each low
band in time. Their coefficients are the first latents. The others start as the loudness of groups of higher bands,
which the decoder learns to turn into sound. The taps are such that the decoder's look-ahead of two latents makes up
for the encoder's delay.
"""

import math

import torch
from torch import Tensor, nn

from heartmula_studio.arch.scalar_codec import ResidualUnit, ScalarCodec, fold_bands

TRANSFORM_LATENTS = 96
ENVELOPES = 16
LATENT_SCALE = 0.2
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
    write_envelopes(encoder_block.convs[0], len(bands), TRANSFORM_LATENTS // len(steps))
    write_steps(encoder_block.down_conv.layer, steps)
    write_envelope_steps(encoder_block.down_conv.layer, len(bands), len(steps))
    encoder_block.down_conv.activation.weight.fill_(1)
    features = slow_channels(codec, waveforms)
    centres = features.mean((0, 2))
    centres[:TRANSFORM_LATENTS] = 0
    gains = LATENT_SCALE / (features - centres[:, None]).abs().mean((0, 2)).clamp_min(1e-6)
    write_gains(to_latents, gains, -gains * centres)
    write_gains(from_latents, 1 / gains, centres)
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


def write_envelopes(unit: ResidualUnit, num_bands: int, first_band: int) -> None:
    """Add to each channel behind the bands the mean magnitude of one group of high bands."""
    identity = torch.zeros_like(unit.conv1.weight)
    identity[:, :, -1] = torch.eye(len(identity))
    unit.conv1.weight = unit.conv1.weight * QUIET + identity
    unit.conv1.bias.zero_()
    unit.activation1.weight.fill_(-1)
    unit.activation2.weight.fill_(1)
    edges = torch.logspace(math.log10(first_band), math.log10(num_bands), ENVELOPES + 1).round().long()
    weight = unit.conv2.weight.clone()
    for group, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        weight[num_bands + group] = 0
        weight[num_bands + group, low:high] = 1 / (high - low)
    unit.conv2.weight = weight


def write_envelope_steps(layer: nn.Conv1d, num_bands: int, num_steps: int) -> None:
    """The slow channels behind the transform's: of each envelope, the mean over its steps and how it moves."""
    weight = layer.weight.clone()
    for slow in range(2 * ENVELOPES):
        group, moves = divmod(slow, 2)
        taps = torch.full((num_steps,), 1 / num_steps)
        if moves:
            taps[: num_steps // 2] *= -1
        weight[TRANSFORM_LATENTS + slow] = 0
        weight[TRANSFORM_LATENTS + slow, num_bands + group, -num_steps:] = taps
    layer.weight = weight


def write_gains(layer: nn.Conv1d, gains: Tensor, biases: Tensor) -> None:
    """Channel i is channel i at the last tap, times its gain, plus its bias."""
    scale_weight(layer, QUIET)
    weight, index = layer.weight.clone(), torch.arange(len(gains))
    weight[: len(gains)] = 0
    weight[index, index, -1] = gains
    layer.weight = weight
    layer.bias[: len(gains)] = biases


def write_synthesis(layer: nn.Conv1d, bands: Tensor) -> None:
    """Block t is the first half of band frame t + 1, which the look-ahead has brought to t, and the second of t."""
    size = len(bands)
    layer.bias.zero_()
    weight = layer.weight * QUIET
    weight[:, :size, :-2] = 0
    weight[:, :size, -2:] = bands.unflatten(1, (2, size)).flip(1).permute(2, 0, 1)
    layer.weight = weight


def slow_channels(codec: ScalarCodec, waveforms: Tensor) -> Tensor:
    """What the encoder's last layer will turn into latents: [B, latents, T]."""
    x = fold_bands(waveforms, codec.config.num_bands)
    for layer in list(codec.encoder)[:-1]:
        x = layer(x)
    return x[:, : codec.config.latent_hidden_dim]
