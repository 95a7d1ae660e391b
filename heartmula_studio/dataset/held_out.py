"""Which songs are held out: one in ten, and none that is another version of a song that is learnt from.

Another mastering, file format or cut of one recording shares its codes at some delay; other songs do not, loops of
one style aside.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.dataset.windows import held_out_order, num_held_out

# Of 630 pairs of songs in nano's codes, the most alike agreed in .26 of the frames; of 36 recordings, each 30 or 55 ms
# later, all but one agreed in .30 or more, and half of them in .52.
SAME_RECORDING = 0.28
MIN_OVERLAP_FRAMES = round(10 * FRAME_RATE_HZ)
MOST_CODES = 2**16
COMPARED_CODEBOOKS = 2
LEAST_HITS, LEAST_HIT_SHARE = 3, 0.015  # at one delay; where `SAME_RECORDING` of two codes agree, .022 of keys do
MOST_PLACES = 5_000  # a key that is found at more, as that of silence, tells nothing
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
    names, versions = list(codes), _Versions(codes)
    wanted, held_out, families = num_held_out(len(names)), set[str](), list[set[str]]()
    for name in held_out_order(names):
        if len(held_out) == wanted:
            break
        family = {name, *versions.of(name)}
        families.append(family)
        if len(family) == 1:
            held_out |= family
    if wanted and not held_out:
        smallest = min(families, key=len)
        held_out = smallest if len(smallest) <= LARGEST_SHARE * len(names) else set()
    return [name for name in names if name not in held_out], [name for name in names if name in held_out]


class _Versions:
    """Tells which songs are the same one, by their titles or their codes.

    Comparing every song with every other takes hours for thousands. So songs are compared that have codes in common at
    one delay, which an index of all places of all codes tells at once.
    """

    def __init__(self, codes: Mapping[str, Tensor]):
        self._codes, self._names = codes, list(codes)
        self._titles = defaultdict[str, set[str]](set)
        for name in codes:
            self._titles[base_title(name)].add(name)
        keys = [_keys(codes[name]) for name in self._names]
        self._lengths = np.array([len(own) for own in keys])
        together = np.concatenate([*keys, np.zeros(0, np.int64)])
        order = np.argsort(together, kind="stable")
        self._keys = together[order]
        self._songs = np.repeat(np.arange(len(keys)), self._lengths)[order]
        self._places = np.concatenate([*map(np.arange, self._lengths), np.zeros(0, np.int64)])[order]

    def of(self, name: str) -> set[str]:
        """Return the other songs that are the same one as `name`."""
        heard = {
            other
            for other, delay in self._candidates(name)
            if agreement(self._codes[name], self._codes[other], delay) > SAME_RECORDING
        }
        return (self._titles[base_title(name)] | heard) - {name}

    def _candidates(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield songs and how many frames later than `name` they begin, if they are the same."""
        own = _keys(self._codes[name])
        first, last = (np.searchsorted(self._keys, own, side) for side in ("left", "right"))
        counts = np.where(last - first <= MOST_PLACES, last - first, 0)
        found = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        delays = np.repeat(np.arange(len(own)), counts) - self._places[found]
        wide = 2 * len(self._keys)
        told, hits = np.unique(self._songs[found] * wide + delays + len(self._keys), return_counts=True)
        songs, delays = told // wide, told % wide - len(self._keys)
        overlap = np.minimum(len(own), self._lengths[songs] + delays) - np.maximum(0, delays)
        is_like = (overlap >= MIN_OVERLAP_FRAMES) & (hits >= np.maximum(LEAST_HITS, LEAST_HIT_SHARE * overlap))
        for number, delay in zip(songs[is_like], delays[is_like], strict=True):
            yield self._names[number], int(delay)


def _keys(codes: Tensor) -> np.ndarray:
    """One number for each frame of codes [K, T] but the last: its first two codes, and the next frame's first."""
    first, second = (codes[min(row, len(codes) - 1)].numpy().astype(np.int64) for row in range(2))
    keys: np.ndarray = (first[:-1] * MOST_CODES + second[:-1]) * MOST_CODES + first[1:]
    return keys


def agreement(one: Tensor, other: Tensor, delay: int) -> float:
    """Return the share of equal codes of two songs [K, T] that overlap, the other one `delay` frames later."""
    codes, later = one[:COMPARED_CODEBOOKS, max(0, delay) :], other[:COMPARED_CODEBOOKS, max(0, -delay) :]
    overlap = min(codes.shape[1], later.shape[1])
    return (codes[:, :overlap] == later[:, :overlap]).float().mean().item()


def base_title(name: str) -> str:
    """Return a song's name without what tells its versions apart: "Rain (live)" and "rain - remix" are "rain"."""
    plain = BRACKETS.sub(lambda found: "" if VERSION_WORDS.search(found[0].lower()) else found[0], name)
    return " ".join(re.sub(r"[\W_]+", " ", VERSION_WORDS.sub(" ", plain.lower())).split()) or name
