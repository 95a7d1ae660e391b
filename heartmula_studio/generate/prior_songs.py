"""Songs that a base makes of itself, once, for prior preservation: of many kinds, without guidance."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from heartmula_studio.arch.frames import frames_of
from heartmula_studio.finetune.prior_songs import PriorSong
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import MIN_SONG_SEC, SongRequest

TAGS = (
    "piano, calm",
    "rock, electric guitar, drums",
    "ambient, dark, drone",
    "jazz, swing, piano, double bass",
    "church organ, slow",
    "bluegrass, banjo, fiddle, fast",
    "chamber music, violin, cello",
    "salsa, percussion, brass, fast",
    "lo-fi, hip hop, slow",
    "folk, acoustic guitar",
    "music box, calm",
    "metal, heavy, distorted guitar",
    "blues, guitar, slow",
    "bossa nova, guitar",
    "synthesizer, space, medium",
    "orchestral, strings, brass, epic",
)
FIRST_SEED = 7000
SONG_SEC = 24.0
TRIES = 8


def make_prior_songs(engine: Engine) -> list[PriorSong]:
    """Make a song of each of sixteen kinds. Raises as `Engine.generate_together`.

    One that ends by itself is made again with another seed, eight times at most, and the longest is taken: a base that
    stops too early now and then is not to be taught so.
    """
    songs = [PriorSong(tags, torch.empty(engine.model.config.audio_num_codebooks, 0), ends=True) for tags in TAGS]
    for attempt in range(TRIES):
        broken_off = [number for number, song in enumerate(songs) if song.ends]
        for number, codes in zip(broken_off, _made(engine, broken_off, attempt), strict=True):
            if codes.shape[1] > songs[number].codes.shape[1]:
                songs[number] = PriorSong(TAGS[number], codes, codes.shape[1] < frames_of(SONG_SEC) - 1)
    return songs


def _made(engine: Engine, numbers: Sequence[int], attempt: int) -> list[Tensor]:
    wanted = SongRequest(duration_sec=SONG_SEC, min_duration_sec=MIN_SONG_SEC, cfg_scale=1.0, temperature=1.0)
    requests = [replace(wanted, tags=TAGS[n], seed=FIRST_SEED + attempt * len(TAGS) + n) for n in numbers]
    return engine.generate_together(requests) if requests else []
