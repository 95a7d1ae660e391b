"""The four pretrained feature streams of the official encoder, at 25 Hz. Always float32, always in eval mode."""

from collections.abc import Callable
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from transformers import (
    Wav2Vec2ConformerConfig,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
)
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder
from transformers.models.whisper.modeling_whisper import WhisperEncoder

SAMPLE_RATE_HZ = 24_000
SPEECH_RATE_HZ = 16_000
"""What Whisper and WavLM listen at."""

SAMPLES_PER_FEATURE = SAMPLE_RATE_HZ // 25
TAIL_SAMPLES = 240
ACOUSTIC_LAYER = 2
SEMANTIC_LAYER = 11
WAVLM_LAYERS = slice(6, 10)

WHISPER_SMALL = {
    "d_model": 768,
    "encoder_layers": 12,
    "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
}
WAVLM_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_buckets": 320,
    "max_bucket_distance": 800,
}
CONFORMER = {
    "hidden_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "hidden_act": "swish",
    "position_embeddings_type": "rotary",
    "rotary_embedding_base": 10000,
    "max_source_positions": 5000,
    "conv_depthwise_kernel_size": 31,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}
MU_ENCODER = {
    "n_fft": 2048,
    "hop_length": 240,
    "n_mels": 128,
    "conv_dim": 512,
    "mean": 6.768444971712967,
    "std": 18.417922652295623,
}


class MelSTFT(nn.Module):
    """Power mel spectrogram in decibels: [B, samples at 24 kHz] → [B, n_mels, frames]."""

    def __init__(self, n_fft: int, hop_length: int, n_mels: int):
        super().__init__()
        # torchaudio checks the filter bank's values, so it cannot be built on the meta device.
        with torch.device("cpu"):
            self.mel_stft = torchaudio.transforms.MelSpectrogram(
                sample_rate=SAMPLE_RATE_HZ, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels
            )
        self.amplitude_to_db = torchaudio.transforms.AmplitudeToDB()

    def forward(self, waveform: Tensor) -> Tensor:
        return self.amplitude_to_db(self.mel_stft(waveform))


class ResidualConv2d(nn.Module):
    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, stride=2)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv3 = nn.Conv2d(n_in, n_out, 3, padding=1, stride=2)
        self.bn3 = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        main = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (main + self.bn3(self.conv3(x))).relu()


class ConvSubsampling(nn.Module):
    """Mel [B, n_mels, T] → [B, T / 4, width]."""

    def __init__(self, channels: int, n_mels: int, width: int):
        super().__init__()
        self.conv = nn.Sequential(ResidualConv2d(1, channels), ResidualConv2d(channels, channels))
        self.linear = nn.Linear(channels * n_mels // 4, width)

    def forward(self, mel: Tensor) -> Tensor:
        return self.linear(self.conv(mel[:, None]).permute(0, 3, 1, 2).flatten(2))


class MuEncoder(nn.Module):
    """Music features: [B, samples at 24 kHz] → acoustic and semantic hidden states, each [B, T, 1024] at 25 Hz."""

    def __init__(self, overrides: dict[str, Any]):
        super().__init__()
        sizes = {**MU_ENCODER, **overrides}
        conformer = {**CONFORMER, **sizes.get("conformer_config", {})}
        self.mean, self.std = sizes["mean"], sizes["std"]
        self.preprocessor_melspec_2048 = MelSTFT(sizes["n_fft"], sizes["hop_length"], sizes["n_mels"])
        self.conv = ConvSubsampling(sizes["conv_dim"], sizes["n_mels"], conformer["hidden_size"])
        self.conformer = Wav2Vec2ConformerEncoder(Wav2Vec2ConformerConfig(**conformer))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        whole = waveform.shape[-1] // SAMPLES_PER_FEATURE * SAMPLES_PER_FEATURE
        mel = self.preprocessor_melspec_2048(waveform[..., :whole])[..., :-1]
        states = layer_inputs(self.conformer, (mel - self.mean) / self.std, self.conv)
        return states[ACOUSTIC_LAYER], states[SEMANTIC_LAYER]


def layer_inputs(conformer: Wav2Vec2ConformerEncoder, mel: Tensor, front: nn.Module) -> dict[int, Tensor]:
    """Run the conformer and return the input of its layers, by index, plus the last layer's output.

    transformers 5 returns no hidden states from an encoder called on its own, hence the hooks.
    """
    inputs: dict[int, Tensor] = {}

    def keep(index: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        return lambda module, args, kwargs: inputs.__setitem__(index, args[0] if args else kwargs["hidden_states"])

    hooks = [
        layer.register_forward_pre_hook(keep(index), with_kwargs=True) for index, layer in enumerate(conformer.layers)
    ]
    try:
        last = conformer(front(mel)).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    return {**inputs, len(conformer.layers): last}


class FeatureExtractors(nn.Module):
    """Stereo [B, 2, samples + 240] at 24 kHz → acoustic, semantic, whisper and wavlm, [B, T, 2 · width] at 25 Hz."""

    def __init__(self, overrides: dict[str, Any]):
        super().__init__()
        whisper = WhisperConfig(**{**WHISPER_SMALL, **overrides.get("whisper_config", {})})
        # Eager attention is what the golden tokens were made with.
        whisper._attn_implementation = "eager"
        self.whisper_encoder = WhisperEncoder(whisper)
        self.wavlm_encoder = WavLMModel(WavLMConfig(**{**WAVLM_BASE, **overrides.get("wavlm_config", {})}))
        self.muencoder = MuEncoder(overrides.get("muencoder_config", {}))
        self.whisper_mel = WhisperFeatureExtractor(feature_size=whisper.num_mel_bins)
        # A kernel built on a GPU differs enough to change tokens; not persistent, as the checkpoint has none.
        with torch.device("cpu"):
            self.to_16k = torchaudio.transforms.Resample(SAMPLE_RATE_HZ, SPEECH_RATE_HZ)
        self.to_16k.register_buffer("kernel", self.to_16k.kernel, persistent=False)

    def forward(self, stereo: Tensor) -> tuple[Tensor, ...]:
        """Where left and right are the same, as in any mono recording, one of them is listened to for both."""
        if torch.equal(stereo[:, 0], stereo[:, 1]):
            return tuple(torch.cat((mono, mono), dim=-1) for mono in self.of_channels(stereo[:, 0]))
        return tuple(join_stereo(channels) for channels in self.of_channels(stereo.flatten(0, 1)))

    def of_channels(self, channels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[N, samples + 240] → acoustic, semantic, whisper and wavlm, each [N, T, width]."""
        content_samples = channels.shape[-1] - TAIL_SAMPLES
        assert content_samples % (2 * SAMPLES_PER_FEATURE) == 0, channels.shape
        channels_16k = self.to_16k(channels)
        whisper, wavlm = self.whisper(channels_16k, content_samples), self.wavlm(channels_16k)
        return *self.muencoder(channels), whisper, wavlm

    def whisper(self, waveform_16k: Tensor, content_samples: int) -> Tensor:
        mel = self.whisper_mel(
            waveform_16k.cpu().numpy(), sampling_rate=SPEECH_RATE_HZ, return_tensors="pt"
        ).input_features
        hidden = self.whisper_encoder(mel.to(waveform_16k.device)).last_hidden_state
        return average_pairs(hidden[:, : content_samples // 480])

    def wavlm(self, waveform_16k: Tensor) -> Tensor:
        states = self.wavlm_encoder(waveform_16k, output_hidden_states=True).hidden_states
        return average_pairs(torch.stack(states[WAVLM_LAYERS]).mean(dim=0))


def average_pairs(features: Tensor) -> Tensor:
    """[B, 2T, D] at 50 Hz → [B, T, D] at 25 Hz."""
    return features.unflatten(1, (-1, 2)).mean(dim=2)


def join_stereo(features: Tensor) -> Tensor:
    """[2B, T, D] with left and right alternating → [B, T, 2D]."""
    return features.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2)
