"""Sound as tones and noise: how loud each semitone is, and each band above them, fifty times a second; and back.

No phases are kept. Each semitone is one oscillator that runs on from the beginning of a song, and each band a noise
that does: so tones stay tones, and windows of one song fit together wherever they are cut.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.frames import FRAME_RATE_HZ

LEVELS_PER_FRAME = 4
LEVEL_RATE_HZ = LEVELS_PER_FRAME * FRAME_RATE_HZ
NOISE_FFT = 512
NOISE_SEC = 8  # until the noise of a band repeats
SEED = 0
BINS_BESIDE = 3  # of a tone at the end of a range, whose power a Hann window spreads over two bins on each side
CHANNELS = 2
GOLDEN_RATIO = (1 + 5**0.5) / 2


@dataclass(frozen=True)
class ToneConfig:
    """Which tones and bands there are; notes are MIDI numbers. Field names are keys of the codec's `config.json`."""

    sample_rate: int = 24_000
    lowest_note: int = 28
    highest_note: int = 108
    num_noise_bands: int = 14
    highest_hz: float = 11_900.0
    # Oscillators above this are the less steady the higher they are: noise is heard there as well, and they play it.
    wanders_from_hz: float = 300.0
    wander_per_octave: float = 0.15
    # Samples that are listened to at once, each up to a note: low notes are close to each other, and want long ones.
    listened_samples: tuple[int, ...] = (4096, 2048, 1024)
    up_to_note: tuple[int, ...] = (51, 69, 108)

    def __post_init__(self) -> None:
        """Raises ValueError for what does not fit together."""
        if not self.lowest_note <= self.highest_note == self.up_to_note[-1]:
            raise ValueError(
                f"lowest_note is {self.lowest_note}, highest_note {self.highest_note}, and up_to_note ends with "
                f"{self.up_to_note[-1]}"
            )
        if len(self.listened_samples) != len(self.up_to_note):
            raise ValueError("listened_samples and up_to_note are not as long as each other")
        if self.wanders_from_hz <= 0 or self.wander_per_octave < 0:
            raise ValueError(f"wanders_from_hz is {self.wanders_from_hz}, wander_per_octave {self.wander_per_octave}")
        if self.highest_hz > self.sample_rate / 2:
            raise ValueError(f"highest_hz is {self.highest_hz}, and a sample rate of {self.sample_rate} ends below")

    @property
    def num_tones(self) -> int:
        return self.highest_note - self.lowest_note + 1

    @property
    def num_levels(self) -> int:
        return self.num_tones + self.num_noise_bands

    @property
    def hop_samples(self) -> int:
        return round(self.sample_rate / LEVEL_RATE_HZ)

    def tones_hz(self) -> Tensor:
        """Frequencies of the tones, float64 [num_tones]."""
        notes = torch.arange(self.lowest_note, self.highest_note + 1, dtype=torch.float64)
        return 440 * 2 ** ((notes - 69) / 12)

    def edges_hz(self) -> Tensor:
        """Where the bands of noise begin and end, [num_noise_bands + 1]: above the tones, equally wide in octaves."""
        lowest = 440 * 2 ** ((self.highest_note - 69) / 12)
        return lowest * (self.highest_hz / lowest) ** (torch.arange(self.num_noise_bands + 1) / self.num_noise_bands)

    def floors(self, tone_floor: float, noise_floor: float) -> Tensor:
        """The floor of each level, [num_levels], on the CPU: in networks it is a buffer that is not stored."""
        with torch.device("cpu"):
            return torch.cat(
                (torch.full((self.num_tones,), tone_floor), torch.full((self.num_noise_bands,), noise_floor))
            )


def note_ranges(config: ToneConfig) -> Iterator[tuple[int, int, int]]:
    """Yield (samples listened to at once, first note, last note)."""
    first = config.lowest_note
    for samples, last in zip(config.listened_samples, config.up_to_note, strict=True):
        yield samples, first, last
        first = last + 1


def tone_levels(waveform: Tensor, config: ToneConfig) -> Tensor:
    """One channel [B, T] → amplitudes of tones, root mean squares of bands: [B, num_levels, T / hop_samples].

    The power of each bin of a short-time spectrum counts for the semitone in which it really sounds, as its phase tells
    from one sample to the next (reassignment; Auger and Flandrin 1995).
    """
    num_levels = waveform.shape[-1] // config.hop_samples
    tones = torch.cat([_tones(waveform, config, *notes) for notes in note_ranges(config)], dim=1)
    return torch.cat((tones, _noise(waveform, config)), dim=1)[..., :num_levels]


def _tones(waveform: Tensor, config: ToneConfig, num_samples: int, first: int, last: int) -> Tensor:
    window = torch.hann_window(num_samples, dtype=torch.float64)
    bins = _bins_of(config, num_samples, first, last)
    real, imaginary, later_real, later_imaginary = _two_spectra(waveform, window, bins, config)
    turned_real = later_real * real + later_imaginary * imaginary
    turned_imaginary = later_imaginary * real - later_real * imaginary
    turns = torch.atan2(turned_imaginary, turned_real) / (2 * math.pi)
    hertz = (turns % 1.0) * config.sample_rate
    note = (69 + 12 * (hertz.clamp_min(1.0) / 440).log2()).round().long()
    is_heard = (note >= first) & (note <= last)
    power = torch.where(is_heard, real.square() + imaginary.square(), 0.0)
    place = (note - first).clamp(0, last - first)
    sums = power.new_zeros(len(power), power.shape[1], last - first + 1).scatter_add_(2, place, power).mT
    # A tone of amplitude 1 has this power in all of its bins.
    of_one = num_samples * window.square().sum().item() / 4
    return (sums / of_one / _share_inside(window.to(waveform), waveform, config.hop_samples)).sqrt()


def _bins_of(config: ToneConfig, num_samples: int, first: int, last: int) -> Tensor:
    """The bins of a spectrum in which some of these notes is heard: all of them would take several times as long."""
    lowest, highest = (440 * 2 ** ((note - 69) / 12) * num_samples / config.sample_rate for note in (first, last + 1))
    return torch.arange(max(0, math.floor(lowest) - BINS_BESIDE), math.ceil(highest) + BINS_BESIDE + 1)


def _two_spectra(waveform: Tensor, window: Tensor, bins: Tensor, config: ToneConfig) -> tuple[Tensor, ...]:
    """Some bins of short-time spectra of [B, T], and of those a sample later, each as real and imaginary [B, L, bins].

    In real numbers, and waves are made on the CPU: not every device has complex ones, or float64.
    """
    length = len(window)
    angles = 2 * math.pi * (torch.arange(length, dtype=torch.float64)[:, None] * bins / length % 1)
    now = window[:, None] * torch.cat((angles.cos(), -angles.sin()), dim=1)
    both = torch.cat((F.pad(now, (0, 0, 0, 1)), F.pad(now, (0, 0, 1, 0))), dim=1)
    frames = F.pad(waveform, (length // 2, length // 2 + 1)).unfold(-1, length + 1, config.hop_samples)
    return (frames @ both.to(waveform)).chunk(4, dim=-1)


def _noise(waveform: Tensor, config: ToneConfig) -> Tensor:
    window = torch.hann_window(NOISE_FFT, device=waveform.device)
    power = _spectrum(waveform, window, config.hop_samples).abs().square()
    hertz = torch.arange(NOISE_FFT // 2 + 1) * config.sample_rate / NOISE_FFT
    edges = config.edges_hz()
    is_inside = ((hertz >= edges[:-1, None]) & (hertz < edges[1:, None])).to(power)
    of_one = NOISE_FFT * window.square().sum() / 2
    return (is_inside @ power / of_one / _share_inside(window, waveform, config.hop_samples)).sqrt()


def _share_inside(window: Tensor, waveform: Tensor, hop_samples: int) -> Tensor:
    """How much of the window's power lies between the ends of a waveform [B, T], at each place it is put: [L]."""
    power, inside = window.square(), torch.ones_like(waveform[:1])
    shares = F.conv1d(inside[:, None], power[None, None], stride=hop_samples, padding=len(power) // 2)
    return shares[0, 0] / power.sum()


def _spectrum(waveform: Tensor, window: Tensor, hop_samples: int) -> Tensor:
    return torch.stft(waveform, len(window), hop_samples, window=window, pad_mode="constant", return_complex=True)


@functools.lru_cache(maxsize=1)
@torch.inference_mode(False)  # training, too, may take what was made for a song
def noise_of_bands(config: ToneConfig) -> Tensor:
    """Noise of each band for each channel, a root mean square of 1: [2, num_noise_bands, hops, hop_samples].

    Made once: it is most of what a codec takes to load.
    """
    num_samples = NOISE_SEC * config.sample_rate
    generator = torch.Generator().manual_seed(SEED)
    spectrum = torch.fft.rfft(torch.randn(CHANNELS, 1, num_samples, generator=generator))
    hertz, edges = torch.arange(spectrum.shape[-1]) / NOISE_SEC, config.edges_hz()
    is_inside = (hertz >= edges[:-1, None]) & (hertz < edges[1:, None])
    bands = torch.fft.irfft(spectrum * is_inside, num_samples)
    return (bands / bands.std(dim=-1, keepdim=True)).unflatten(-1, (-1, config.hop_samples))


class ToneBank(nn.Module):
    """Levels → sound. It has no weights."""

    waves: Tensor
    noise: Tensor

    def __init__(self, config: ToneConfig):
        super().__init__()
        self.config = config
        with torch.device("cpu"):
            # These stay there: they want float64, which not every device has.
            self._hertz = config.tones_hz()
            self._phases = self._phases_of_tones()
            self.register_buffer("waves", self._waves(), persistent=False)
            self.register_buffer("noise", noise_of_bands(config), persistent=False)

    def _waves(self) -> Tensor:
        """Cosine and sine of each tone within a hop, fading out and fading in: [4 · num_tones, hop_samples]."""
        hop = self.config.hop_samples
        angles = 2 * math.pi * self._hertz[:, None] * torch.arange(hop) / self.config.sample_rate
        # Where phases wander, what fades out and what fades in add up to less than one of them.
        unlike = 2 * math.pi * self._spread()
        power = (2 + torch.sinc(unlike / math.pi).square()) / 3
        waves, fade = torch.stack((angles.cos(), -angles.sin())) / power.sqrt()[:, None], torch.arange(hop) / hop
        waves = waves.flatten(0, 1)
        return torch.cat((waves * (1 - fade), waves * fade)).float()

    def _spread(self) -> Tensor:
        """How far the phase of each tone wanders to both sides, in turns, [num_tones]."""
        octaves = (self._hertz / self.config.wanders_from_hz).log2().clamp_min(0)
        return (octaves * self.config.wander_per_octave).clamp_max(0.5)

    def _phases_of_tones(self) -> Tensor:
        """Where each tone is ahead of an oscillator that began with the song, in turns: [2, hops, num_tones]."""
        first = torch.arange(self.config.num_tones, dtype=torch.float64) * GOLDEN_RATIO  # all at once would click
        generator = torch.Generator().manual_seed(SEED)
        shape = CHANNELS, round(NOISE_SEC * LEVEL_RATE_HZ), self.config.num_tones
        return first + self._spread() * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)

    def forward(self, levels: Tensor, start: int = 0) -> Tensor:
        """Levels [B, 2, num_levels, L] of both channels → waveform [B, 2, L · hop_samples].

        start: how many levels of the song lie before these. The last level sounds on to the end.
        """
        later = torch.cat((levels[..., 1:], levels[..., -1:]), dim=-1)
        return self._sound_of_tones(levels, later, start) + self._sound_of_noise(levels, later, start)

    def _sound_of_tones(self, levels: Tensor, later: Tensor, start: int) -> Tensor:
        num_tones = self.config.num_tones
        hops = torch.arange(start, start + levels.shape[-1])
        # In whole turns, so that hours into a song they are as exact as at its beginning.
        turns = hops[:, None] * self._hertz * (self.config.hop_samples / self.config.sample_rate) % 1
        mixed = []
        for part, of_hops in ((levels, hops), (later, hops + 1)):
            phases = turns + self._phases[:, of_hops % self._phases.shape[1]]
            angles = (2 * math.pi * phases).to(levels)
            amplitudes = part[:, :, :num_tones].transpose(-1, -2)  # [B, 2, L, num_tones]
            mixed += [amplitudes * angles.cos(), amplitudes * angles.sin()]
        return (torch.cat(mixed, dim=-1) @ self.waves).flatten(-2)

    def _sound_of_noise(self, levels: Tensor, later: Tensor, start: int) -> Tensor:
        num_hops = self.noise.shape[2]
        place = torch.arange(start, start + levels.shape[-1], device=levels.device) % num_hops
        noise = self.noise[:, :, place].transpose(1, 2)  # [2, L, bands, hop]
        fade = torch.arange(self.config.hop_samples, device=levels.device) / self.config.hop_samples
        loudness = [part[:, :, self.config.num_tones :].transpose(-1, -2)[..., None] for part in (levels, later)]
        return (noise * (loudness[0] * (1 - fade) + loudness[1] * fade)).sum(-2).flatten(-2)
