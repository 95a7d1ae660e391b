"""Which songs are held out: one in ten, and none that is another version of a song that is learnt from.

Another mastering, file format or cut of one recording shares its codes at some delay; other songs do not, loops of
one style aside.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.dataset.windows import held_out_order, num_held_out

# Of 630 pairs of songs in nano's codes, the most alike agreed in .31 of the frames; in the codes of a recording 30 to
# 55 ms later, the median is .54, the least .37.
SAME_RECORDING = 0.35
MIN_OVERLAP_SEC = 10.0
BUCKETS = 64  # that codes are put into: what they are called is all the same
COMPARED_CODEBOOKS = 2
LARGEST_SHARE = 1 / 3  # of the songs that are held out where all songs come in versions
VERSION_WORDS = re.compile(
    r"\b(live|remix|mix|version|edit|instrumental|acoustic|demo|remaster(ed)?|karaoke|cover|mono|stereo)\b"
)
BRACKETS = re.compile(r"[(\[][^)\]]*[)\]]")


def split_tracks(codes: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Split songs, by their codes [K, T], into the names of those to learn from and of the held-out ones.

    They are taken as `split_songs` takes them, but for songs with other versions. Where all have some, all versions of
    one song are held out, if they are not too many.
    """
    names = list(codes)
    wanted, held_out, families = num_held_out(len(names)), set[str](), list[set[str]]()
    for name in held_out_order(names):
        if len(held_out) == wanted:
            break
        family = {name, *versions_among(name, codes)}
        families.append(family)
        if len(family) == 1:
            held_out |= family
    if wanted and not held_out:
        smallest = min(families, key=len)
        held_out = smallest if len(smallest) <= LARGEST_SHARE * len(names) else set()
    return [name for name in names if name not in held_out], [name for name in names if name in held_out]


def versions_among(name: str, codes: Mapping[str, Tensor]) -> list[str]:
    """Return the other songs that are the same one as `name`, by their titles or their codes."""
    title = base_title(name)
    return [
        other
        for other in codes
        if other != name and (base_title(other) == title or agreement(codes[name], codes[other]) > SAME_RECORDING)
    ]


def agreement(one: Tensor, other: Tensor) -> float:
    """Return the share of equal codes of two songs [K, T] at the delay where they agree most.

    It is 0 for songs that do not overlap for ten seconds.
    """
    num_frames, num_others = one.shape[1], other.shape[1]
    length = 1 << math.ceil(math.log2(num_frames + num_others))
    equal = np.fft.irfft((_spectra(one, length) * _spectra(other, length).conj()).sum(0), length)
    delays = np.arange(length)
    delays = np.where(delays < num_frames, delays, delays - length)
    overlap = np.minimum(num_frames, num_others + delays) - np.maximum(0, delays)
    is_long = overlap >= MIN_OVERLAP_SEC * FRAME_RATE_HZ
    return float((equal[is_long] / overlap[is_long]).max(initial=0.0)) / COMPARED_CODEBOOKS


def _spectra(codes: Tensor, length: int) -> np.ndarray:
    """Return spectra over time of where each code of the first codebooks sounds, [2 · 64, length / 2 + 1]."""
    values = codes[:COMPARED_CODEBOOKS].numpy() % BUCKETS
    sounds = values[:, None] == np.arange(BUCKETS)[:, None]
    return np.fft.rfft(sounds.reshape(-1, codes.shape[1]).astype(np.float32), length)


def base_title(name: str) -> str:
    """Return a song's name without what tells its versions apart: "Rain (live)" and "rain - remix" are "rain"."""
    plain = BRACKETS.sub(lambda found: "" if VERSION_WORDS.search(found[0].lower()) else found[0], name)
    return " ".join(re.sub(r"[\W_]+", " ", VERSION_WORDS.sub(" ", plain.lower())).split()) or name
