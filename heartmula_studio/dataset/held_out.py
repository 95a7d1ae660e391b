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

# Of 630 pairs of songs in nano's codes, the most alike agreed in .26; of 36 recordings, each 30 or 55 ms later, all in
# .30 or more, and 3 dB quieter, all but two in .29 or more.
SAME_RECORDING = 0.28
MIN_OVERLAP_FRAMES = round(10 * FRAME_RATE_HZ)
MOST_CODES = 2**16
FIRST_CODEBOOKS = 2
LEAST_HITS, LEAST_HIT_SHARE = 3, 0.015  # at one delay; where `SAME_RECORDING` of two codes agree, .022 of keys do
MOST_DELAYS = 4
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
        self._lengths = np.array([own.shape[1] for own in keys])
        together = np.concatenate([*map(np.ravel, keys), np.zeros(0, np.int64)])
        order = np.argsort(together, kind="stable")
        self._keys = together[order]
        self._songs = np.repeat(np.arange(len(keys), dtype=np.int32), [own.size for own in keys])[order]
        self._places = np.concatenate([*map(_places, keys), np.zeros(0, np.int32)])[order]

    def of(self, name: str) -> set[str]:
        """Return the other songs that are the same one as `name`."""
        heard = {
            other
            for other, delay in self._candidates(name)
            if agreement(self._codes[name], self._codes[other], delay) > SAME_RECORDING
        }
        return (self._titles[base_title(name)] | heard) - {name}

    def _candidates(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield songs and how many frames later than `name` they begin, if they are the same.

        Where loops let several delays be possible, those come at which two songs have the most in common.
        """
        own = _keys(self._codes[name])
        first, last = (np.searchsorted(self._keys, own.ravel(), side) for side in ("left", "right"))
        counts = np.where(last - first <= MOST_PLACES, last - first, 0)
        found = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        delays = np.repeat(_places(own), counts) - self._places[found]
        wide = 2 * len(self._keys)
        alike = self._songs[found].astype(np.int64) * wide + delays + len(self._keys)
        told, hits = np.unique(alike, return_counts=True)
        songs, delays = told // wide, told % wide - len(self._keys)
        overlap = np.minimum(own.shape[1], self._lengths[songs] + delays) - np.maximum(0, delays)
        is_like = (overlap >= MIN_OVERLAP_FRAMES) & (hits >= np.maximum(LEAST_HITS, LEAST_HIT_SHARE * overlap))
        places = np.flatnonzero(is_like)
        places = places[np.lexsort((-hits[places], songs[places]))]
        rank = np.arange(len(places)) - np.searchsorted(songs[places], songs[places])
        for place in places[rank < MOST_DELAYS]:
            yield self._names[songs[place]], int(delays[place])


def _keys(codes: Tensor) -> np.ndarray:
    """Numbers for each frame of codes [K, T] but the last: two of its codes, and the next frame's first of these.

    One row for the first two codebooks, which agree longest where each says what those before it have left, and one for
    the middle two, which change less with the level where each tells of a register: [2, T - 1].
    """
    rows, last = codes.numpy().astype(np.int64), len(codes) - 1
    pairs = (0, min(1, last)), (last // 2, min(last // 2 + 1, last))
    keys = [(rows[one, :-1] * MOST_CODES + rows[other, :-1]) * MOST_CODES + rows[one, 1:] for one, other in pairs]
    return np.stack([key + number * MOST_CODES**3 for number, key in enumerate(keys)])


def _places(keys: np.ndarray) -> np.ndarray:
    """The frame of each of the keys of one song."""
    return np.tile(np.arange(keys.shape[1], dtype=np.int32), len(keys))


def agreement(one: Tensor, other: Tensor, delay: int) -> float:
    """Return the share of equal codes of two songs [K, T] that overlap, the other one `delay` frames later.

    That of the first two codebooks, where it is more: those of a residual quantiser that come later soon differ.
    """
    codes, later = one.numpy()[:, max(0, delay) :], other.numpy()[:, max(0, -delay) :]
    overlap = min(codes.shape[1], later.shape[1])
    is_equal: np.ndarray = codes[:, :overlap] == later[:, :overlap]
    return max(np.count_nonzero(part) / part.size for part in (is_equal, is_equal[:FIRST_CODEBOOKS]))


def base_title(name: str) -> str:
    """Return a song's name without what tells its versions apart: "Rain (live)" and "rain - remix" are "rain"."""
    plain = BRACKETS.sub(lambda found: "" if VERSION_WORDS.search(found[0].lower()) else found[0], name)
    return " ".join(re.sub(r"[\W_]+", " ", VERSION_WORDS.sub(" ", plain.lower())).split()) or name
