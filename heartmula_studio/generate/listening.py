"""Figures that stand beside the ear: whether tuning can be heard in songs, and whether a song copies a track.

What is judged are clips of a few seconds, as mean and spread over time of 32 mel bands, without loudness: a classifier
learns them from music of known origin that went through the same codec. No model is loaded here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from heartmula_studio.arch.frames import FRAME_RATE_HZ

CLIP_SEC = 6.0
BANDS = 32
FFT_SEC = 0.043
LEVEL = 0.1  # root mean square that clips are brought to
NOISE_FLOOR = 1.0  # at that level, codec noise covers what is quieter in a mel spectrogram of magnitudes
SMALLEST_SPREAD = 0.1  # in nats; a band that hardly moves in a few clips must not decide alone
RIDGE = 3.0  # weight of the squared coefficients against the summed log-likelihood
LBFGS_ITERATIONS = 60
MAX_CODES = 1 << 16  # of a codebook: codes are 16 bits


def clip_statistics(sound: Tensor, sample_rate_hz: int) -> Tensor:
    """Describe each clip of a sound: [channels, samples] or [samples] → [clips, 2 · bands].

    A clip's features are the mean over time of its log-mel bands, less their common mean, and their standard deviation.
    """
    mono = sound.float().reshape(-1, sound.shape[-1]).mean(0)
    num_fft = 1 << round(np.log2(FFT_SEC * sample_rate_hz))
    to_mel = torchaudio.transforms.MelSpectrogram(sample_rate_hz, num_fft, n_mels=BANDS, power=1.0)
    scale = num_fft / 1024  # a magnitude grows with the samples that are added up
    rows = []
    for clip in _clips(mono, round(CLIP_SEC * sample_rate_hz)):
        level = (clip - clip.mean()).square().mean().sqrt().clamp_min(1e-6)
        bands = (to_mel(clip * (LEVEL / level)) / scale + NOISE_FLOOR).log()
        rows.append(torch.cat((bands.mean(1) - bands.mean(), bands.std(1))))
    return torch.stack(rows)


def _clips(sound: Tensor, num_samples: int) -> list[Tensor]:
    """Cut [samples] into clips one after the other; what is shorter than one is one clip."""
    return [clip for clip in sound.split(num_samples) if len(clip) == num_samples] or [sound]


@dataclass(frozen=True)
class ClipJudge:
    """A logistic regression over clip statistics that tells kinds of music apart."""

    centre: Tensor  # [F]
    spread: Tensor  # [F]
    weight: Tensor  # [kinds, F + 1], the last column is the bias

    @classmethod
    def learn(cls, kinds: Sequence[Tensor]) -> "ClipJudge":
        """Fit to the clips [n, F] of each kind; all kinds weigh the same."""
        everything = torch.cat(list(kinds))
        spread = torch.cat([kind - kind.mean(0) for kind in kinds]).square().mean(0).sqrt().clamp_min(SMALLEST_SPREAD)
        untrained = cls(everything.mean(0), spread, torch.zeros(len(kinds), everything.shape[1] + 1))
        return cls(untrained.centre, spread, untrained._fitted(kinds))

    def _fitted(self, kinds: Sequence[Tensor]) -> Tensor:
        features = torch.cat([self._features(kind) for kind in kinds])
        labels = torch.cat([torch.full((len(kind),), number) for number, kind in enumerate(kinds)])
        shares = torch.cat([torch.full((len(kind),), len(features) / len(kinds) / len(kind)) for kind in kinds])
        weight = self.weight.clone().requires_grad_(True)
        optimizer = torch.optim.LBFGS([weight], max_iter=LBFGS_ITERATIONS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            errors = F.cross_entropy(features @ weight.T, labels, reduction="none")
            total = (shares * errors).sum() + RIDGE * weight[:, :-1].square().sum()
            total.backward()
            return total

        with torch.enable_grad():
            optimizer.step(loss)
        return weight.detach()

    def _features(self, clips: Tensor) -> Tensor:
        return F.pad((clips - self.centre) / self.spread, (0, 1), value=1.0)

    def log_odds(self, song: Tensor) -> Tensor:
        """Return each kind's mean log-probability over the clips [n, F] of one song, [kinds]."""
        return (self._features(song) @ self.weight.T).log_softmax(1).mean(0)

    def kind_of(self, song: Tensor) -> int:
        """Return the likeliest kind of one song, given its clips [n, F]."""
        return int(self.log_odds(song).argmax())


def nearest_kind(kinds: Sequence[Tensor], song: Tensor) -> int:
    """Return the kind whose mean is nearest to that of a song, each feature measured by its spread within the kinds."""
    spread = torch.cat([kind - kind.mean(0) for kind in kinds]).square().mean(0).sqrt().clamp_min(SMALLEST_SPREAD)
    means = torch.stack([kind.mean(0) for kind in kinds])
    return int(((means - song.mean(0)) / spread).norm(dim=1).argmin())


def nearness(base: Tensor, style: Tensor, song: Tensor) -> float:
    """Place a song on the line from the base's songs (0) to the style's tracks (1), by clip statistics [n, F]."""
    spread = torch.cat([base - base.mean(0), style - style.mean(0)]).square().mean(0).sqrt().clamp_min(SMALLEST_SPREAD)
    way = (style.mean(0) - base.mean(0)) / spread
    went = (song.mean(0) - base.mean(0)) / spread
    return float(went @ way / way.square().sum().clamp_min(1e-9))


@dataclass(frozen=True)
class AudibleEffect:
    """How well tuned songs are told from the base's (.5 is chance); `nearness` is 0 at the base, 1 at the tracks."""

    told: float
    nearness: float


def audible_effect(tuned: Sequence[Tensor], base: Sequence[Tensor], style: Tensor, other_base: Tensor) -> AudibleEffect:
    """Judge songs by what was learnt from the style's tracks and from other songs of the base.

    tuned, base: the clips [n, F] of each song; a tuned song and the base's of the same place have one prompt and seed.
    style: clips of the tracks after the codec. other_base: clips of songs of the base that are not in `base`.
    """
    judge = ClipJudge.learn([other_base, style])
    right = [judge.kind_of(song) == 0 for song in base], [judge.kind_of(song) == 1 for song in tuned]
    told = (float(np.mean(right[0])) + float(np.mean(right[1]))) / 2
    return AudibleEffect(told, float(np.mean([nearness(other_base, style, song) for song in tuned])))


@dataclass(frozen=True)
class SharedRun:
    """The longest run of code changes that a song and a track have in common, and where it begins in each."""

    changes: int
    song_sec: float
    track_sec: float


def longest_shared_run(song: Tensor, track: Tensor) -> SharedRun:
    """Find the longest stretch in which the first two codebooks of both [K, T] go through the same codes in order.

    Codes that are held count once, so that neither silence nor tempo makes two recordings alike. One codebook alone
    would: its 64 codes are too few for what a loop repeats.
    """
    (a, a_starts), (b, b_starts) = _changes(song), _changes(track)
    lengths, best = np.zeros(len(b) + 1, dtype=np.int64), (0, 0, 0)
    for place, code in enumerate(a):
        lengths[1:] = np.where(b == code, lengths[:-1] + 1, 0)
        longest = int(lengths.max())
        if longest > best[0]:
            best = longest, place - longest + 1, int(lengths.argmax()) - longest
    changes, in_song, in_track = best
    if not changes:
        return SharedRun(0, 0.0, 0.0)
    return SharedRun(changes, int(a_starts[in_song]) / FRAME_RATE_HZ, int(b_starts[in_track]) / FRAME_RATE_HZ)


def nearest_copy(song: Tensor, tracks: Sequence[Tensor]) -> tuple[int, SharedRun]:
    """Return the track [K, T] that shares the longest run with `song`, by its place, and that run."""
    runs = [longest_shared_run(song, track) for track in tracks]
    place = max(range(len(runs)), key=lambda i: runs[i].changes)
    return place, runs[place]


def usual_run(tracks: Sequence[Tensor]) -> int:
    """Return the longest run that two different tracks share: what songs of one style have in common anyway."""
    return max((longest_shared_run(a, b).changes for a, b in _pairs(tracks)), default=0)


def _pairs(tracks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    return ((a, b) for number, a in enumerate(tracks) for b in tracks[:number])


def _changes(codes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Join the first two codebooks [K, T]; return what they go through, and the frames at which each value begins."""
    values = codes[0].long().numpy() * MAX_CODES + codes[1].long().numpy()
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    return values[starts], starts
