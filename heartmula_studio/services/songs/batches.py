"""Which songs that wait are made side by side: a batch of them takes hardly longer than one. Pure."""

import math
from collections.abc import Sequence

from heartmula_studio.generate.request import MAX_TAKES
from heartmula_studio.store.records import Generation

MAX_BATCH = MAX_TAKES  # as many as memory is known to suffice for


def batch_of(waiting: Sequence[Generation], num_free: int = 1) -> list[Generation]:
    """Return the songs to make next, the shortest first, given all that wait in their order.

    They are the first one, and either its takes or those that can be made beside it. No longer one joins in, so that
    songs which have to wait for another batch wait hardly longer for it. Where `num_free` batches could begin now,
    they share alike songs evenly.
    """
    first = waiting[0]
    if first.take_of is not None:
        return [song for song in waiting if song.take_of == first.take_of]
    alike = [first, *(song for song in waiting[1:] if joins(song, first))]
    share = math.ceil(len(alike) / num_free)
    return sorted(alike[: min(share, MAX_BATCH)], key=length)


def joins(song: Generation, first: Generation) -> bool:
    """Tell whether a song can be made in the batch of another one that is before it in line."""
    return (
        song.take_of is None
        and is_plain(song)
        and is_plain(first)
        and traits(song) == traits(first)
        and length(song) <= length(first)
    )


def is_plain(song: Generation) -> bool:
    """Tell whether a song begins with nothing, and is not to be what another one was."""
    return song.decoded_from is None and song.replay is None and not song.continues


def traits(song: Generation) -> tuple[object, ...]:
    """Return what songs of one batch have in common: their style, and how they are sampled and decoded."""
    cfg_scale = song.request["cfg_scale"]  # None is what suits the base, which may be no guidance
    is_guided = cfg_scale and cfg_scale > 1
    return song.style, song.style_strength, song.styles, song.decoding, song.request["topk"], is_guided


def length(song: Generation) -> float:
    seconds: float = song.request["duration_sec"]
    return seconds
