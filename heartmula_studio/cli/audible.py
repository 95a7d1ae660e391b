"""Whether a training can be heard, as a figure and in words: a few short songs before and after it, told apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heartmula_studio.codec.codec import Codec
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.listening import AudibleEffect, audible_effect, clip_statistics
from heartmula_studio.generate.request import SongRequest

SONGS = 4
SONG_SEC = 12.0
DECODE_STEPS = 4  # fewer than of a song that is kept, and as many for all that are told apart
FIRST_SEED, FIRST_OTHER_SEED = 100, 200
AUDIBLE = 0.75  # of the songs told right; half is guessing


@dataclass(frozen=True)
class BaseSongs:
    """Clip statistics [n, F] of songs before the training: of those to compare with, and of others to learn from."""

    same: list[Tensor]
    others: Tensor


def songs_before(engine: Engine, tags: str) -> BaseSongs:
    """Make songs with the engine as it is. Raises as `Engine.generate_together`."""
    return BaseSongs(song_clips(engine, tags, FIRST_SEED), torch.cat(song_clips(engine, tags, FIRST_OTHER_SEED)))


def effect_on(engine: Engine, tags: str, before: BaseSongs, tracks: Sequence[Tensor]) -> AudibleEffect:
    """Make the same songs again and judge them. `tracks`: codes [K, T] of what was learnt. Raises as `songs_before`."""
    style = torch.cat([clips_of(codes, engine.codec) for codes in tracks])
    return audible_effect(song_clips(engine, tags, FIRST_SEED), before.same, style, before.others)


def in_words(effect: AudibleEffect) -> str:
    """Say what an audible effect means."""
    songs = 2 * SONGS
    told = round(effect.told * songs)
    heard = "The training can be heard" if effect.told >= AUDIBLE else "The training can hardly be heard"
    return (
        f"{heard}: a small classifier sorted {told} of {songs} short songs correctly into before and after "
        f"(guessing gets {SONGS})."
    )


def song_clips(engine: Engine, tags: str, first_seed: int) -> list[Tensor]:
    requests = [SongRequest(tags, duration_sec=SONG_SEC, seed=first_seed + number) for number in range(SONGS)]
    return [clips_of(codes, engine.codec) for codes in engine.generate_together(requests)]


def clips_of(codes: Tensor, codec: Codec) -> Tensor:
    """Decode a song, [K, T], and describe its clips, [n, F]."""
    sound = torch.cat(list(codec.decode(codes, 0, None, None, DECODE_STEPS)), dim=-1)
    return clip_statistics(sound, codec.sample_rate_hz)
