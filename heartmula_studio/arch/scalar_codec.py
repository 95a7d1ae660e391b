"""The scalar-quantised (SQ) convolutional codec: one channel of waveform ↔ latents at 25 Hz.

Small numeric drift flips its rounding steps, so it runs in float32 with TF32 off. Tensor names equal the official ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.float32_linear import onednn_product, suits_onednn
from heartmula_studio.arch.weight_norm import weight_norm

QUANTISER_STEPS = 9
RESIDUAL_DILATIONS = (1, 3, 5, 7, 9)


@dataclass(frozen=True)
class ScalarCodecConfig:
    """Sizes of the SQ codec; field names equal the keys of the codec's `config.json`."""

    num_bands: int = 1
    sample_rate: int = 48_000
    causal: bool = True
    num_samples: int = 2
    downsample_factors: tuple[int, ...] = (3, 4, 4, 4, 5)
    downsample_kernel_sizes: tuple[int, ...] = (6, 8, 8, 8, 10)
    upsample_factors: tuple[int, ...] = (5, 4, 4, 4, 3)
    upsample_kernel_sizes: tuple[int, ...] = (10, 8, 8, 8, 6)
    latent_hidden_dim: int = 128
    default_kernel_size: int = 7
    delay_kernel_size: int = 5
    init_channel: int = 64
    res_kernel_size: int = 7


def round_to_steps(latents: Tensor) -> Tensor:
    """Round to multiples of 1/9; gradients pass straight through. Any shape."""
    rounded = torch.round(QUANTISER_STEPS * latents) / QUANTISER_STEPS
    return latents + (rounded - latents).detach() if latents.requires_grad else rounded


def fold_bands(waveform: Tensor, num_bands: int) -> Tensor:
    """Split one channel into its polyphase components: [B, 1, T] → [B, num_bands, T / num_bands]."""
    return waveform.unflatten(-1, (-1, num_bands)).squeeze(1).transpose(1, 2)


def unfold_bands(bands: Tensor) -> Tensor:
    """Interleave polyphase components: [B, num_bands, T] → [B, 1, num_bands · T]."""
    return bands.transpose(1, 2).flatten(1).unsqueeze(1)


class Conv(nn.Conv1d):
    """Convolution whose stride-1 output is as long as its input: padded left when causal, else on both sides."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, stride: int = 1, dilation: int = 1, causal: bool):
        reach = dilation * (kernel - 1)
        super().__init__(n_in, n_out, kernel, stride, padding=0 if causal else reach // 2, dilation=dilation)
        self.left_padding = reach if causal else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1,) and not torch.is_grad_enabled():
            return self._mix_channels(x)
        return super().forward(F.pad(x, (self.left_padding, 0)))

    def _mix_channels(self, x: Tensor) -> Tensor:
        """A kernel of one step, as a matrix product, which a CPU computes twice as fast: [B, C, T] → [B, n_out, T]."""
        weight = self.weight[:, :, 0]
        if not suits_onednn(x[0], weight):
            return super().forward(x)
        assert self.bias is not None
        return torch.stack([onednn_product(weight, channels.mT) for channels in x]) + self.bias[:, None]


class TransposedConv(nn.ConvTranspose1d):
    """Upsampling by `stride`; when causal, what would look ahead is cut off the end."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, stride: int, causal: bool):
        super().__init__(n_in, n_out, kernel, stride, padding=0 if causal else (kernel - stride) // 2)
        self.surplus = kernel - stride if causal else 0

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        x = super().forward(x, output_size)
        return x[..., : x.shape[-1] - self.surplus]


class ResidualUnit(nn.Module):
    def __init__(self, channels: int, kernel: int, dilation: int, causal: bool):
        super().__init__()
        self.conv1 = weight_norm(Conv(channels, channels, kernel, dilation=dilation, causal=causal))
        self.conv2 = weight_norm(Conv(channels, channels, 1, causal=causal))
        self.activation1 = nn.PReLU()
        self.activation2 = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.activation2(self.conv2(self.activation1(self.conv1(x))))


def residual_units(channels: int, config: ScalarCodecConfig) -> nn.ModuleList:
    return nn.ModuleList(
        ResidualUnit(channels, config.res_kernel_size, dilation, config.causal) for dilation in RESIDUAL_DILATIONS
    )


class Downsample(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, causal: bool):
        super().__init__()
        self.layer = weight_norm(Conv(n_in, n_out, kernel, stride=stride, causal=causal))
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.layer(x))


class Upsample(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, causal: bool):
        super().__init__()
        self.layer = weight_norm(TransposedConv(n_in, n_out, kernel, stride=stride, causal=causal))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class EncoderBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, config: ScalarCodecConfig):
        super().__init__()
        self.convs = residual_units(n_in, config)
        self.down_conv = Downsample(n_in, n_out, kernel, stride, config.causal)

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.convs:
            x = unit(x)
        return self.down_conv(x)


class DecoderBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, config: ScalarCodecConfig):
        super().__init__()
        self.up_conv = Upsample(n_in, n_out, kernel, stride, config.causal)
        self.convs = residual_units(n_out, config)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up_conv(x)
        for unit in self.convs:
            x = unit(x)
        return x


class PreProcessor(nn.Module):
    """Convolve, then average `num_samples` neighbours."""

    def __init__(self, channels: int, config: ScalarCodecConfig):
        super().__init__()
        self.conv = Conv(channels, channels, config.default_kernel_size, causal=config.causal)
        self.activation = nn.PReLU()
        self.pooling = nn.AvgPool1d(config.num_samples)

    def forward(self, x: Tensor) -> Tensor:
        return self.pooling(self.activation(self.conv(x)))


class PostProcessor(nn.Module):
    """Repeat every step `num_samples` times, then convolve."""

    def __init__(self, channels: int, config: ScalarCodecConfig):
        super().__init__()
        self.num_samples = config.num_samples
        self.conv = Conv(channels, channels, config.default_kernel_size, causal=config.causal)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(x.repeat_interleave(self.num_samples, dim=-1)))


class ScalarCodec(nn.Module):
    """Waveform [B, 1, T] ↔ latents [B, latent_hidden_dim, T / samples_per_latent]."""

    def __init__(self, config: ScalarCodecConfig):
        super().__init__()
        self.config = config
        base = config.init_channel
        self.encoder = nn.ModuleList(self._encoder_layers(base))
        self.decoder = nn.ModuleList(self._decoder_layers(base))

    def _encoder_layers(self, base: int) -> Iterator[nn.Module]:
        config = self.config
        yield weight_norm(Conv(config.num_bands, base, config.default_kernel_size, causal=config.causal))
        if config.num_samples > 1:
            yield PreProcessor(base, config)
        for stage, (stride, kernel) in enumerate(
            zip(config.downsample_factors, config.downsample_kernel_sizes, strict=True)
        ):
            yield EncoderBlock(base << stage, base << (stage + 1), kernel, stride, config)
        top = base << len(config.downsample_factors)
        yield weight_norm(Conv(top, config.latent_hidden_dim, config.default_kernel_size, causal=config.causal))

    def _decoder_layers(self, base: int) -> Iterator[nn.Module]:
        config = self.config
        top = len(config.upsample_factors)
        yield weight_norm(Conv(config.latent_hidden_dim, base << top, config.delay_kernel_size, causal=False))
        for stage, (stride, kernel) in enumerate(
            zip(config.upsample_factors, config.upsample_kernel_sizes, strict=True)
        ):
            yield DecoderBlock(base << (top - stage), base << (top - stage - 1), kernel, stride, config)
        if config.num_samples > 1:
            yield PostProcessor(base, config)
        yield weight_norm(Conv(base, config.num_bands, config.default_kernel_size, causal=config.causal))

    def encode(self, waveform: Tensor) -> Tensor:
        """Encode [B, 1, T] into continuous latents in (-1, 1); T is a multiple of `samples_per_latent`."""
        x = fold_bands(waveform, self.config.num_bands)
        for layer in self.encoder:
            x = layer(x)
        return torch.tanh(x)

    def decode(self, latents: Tensor) -> Tensor:
        """Round latents [B, C, T] and decode them into a waveform [B, 1, T · samples_per_latent]."""
        x = round_to_steps(latents)
        for layer in self.decoder:
            x = layer(x)
        return unfold_bands(x)
