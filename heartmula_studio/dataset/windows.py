"""Training windows: songs that do not fit are cut, or windows are drawn from them; one song in ten is held out."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.codec.track_version import AS_RECORDED, TrackVersion
from heartmula_studio.dataset.lyrics import is_timed, lyrics_between
from heartmula_studio.dataset.prompt import Prompt, PromptLayout
from heartmula_studio.errors import InvalidInputError

MIN_WINDOW_SEC = 10.0  # windows are made no shorter than this for the sake of long lyrics
MIN_SONGS_TO_HOLD_OUT = 6

# How lyrics got their time: from stamps; by spreading lines evenly over the song; or not at all, as there are none
# or nothing was cut.
LyricsTiming = Literal["timed", "spread", "none"]


@dataclass(frozen=True)
class Window:
    """A stretch of one song, and the lyrics sung in it."""

    song: str
    row: int  # the song's row in the dataset
    tags: str
    lyrics: str
    start_frame: int
    num_frames: int
    ends_song: bool
    lyrics_timing: LyricsTiming


@dataclass(frozen=True)
class TrackInfo:
    """One whole song, as cutting sees it."""

    name: str
    row: int  # in the dataset
    tags: str
    lyrics: str
    num_frames: int
    ends: bool = True  # rather than being cut off; only then is an end learnt
    version: TrackVersion = field(default=AS_RECORDED, repr=False)  # lyrics are timed in the recording as it is


def cut_to_fit(
    song: TrackInfo, max_window_sec: float, layout: PromptLayout, max_positions: int
) -> list[tuple[Window, Prompt]]:
    """Cut `song` as `cut_song` does, but into shorter windows if one and its prompt take more than `max_positions`.

    max_positions: the backbone's `max_seq_len`.
    Raises InvalidInputError, naming the song, if a prompt leaves no room for windows of 10 s; and as `cut_song`.
    """
    shortest_sec = min(MIN_WINDOW_SEC, max_window_sec)
    while True:
        windows = cut_song(song, max_window_sec)
        prompts = [layout.build(window.tags, window.lyrics) for window in windows]
        needed = [prompt.num_positions(window.num_frames) for prompt, window in zip(prompts, windows, strict=True)]
        if max(needed) <= max_positions:
            return list(zip(windows, prompts, strict=True))
        if max_window_sec == shortest_sec:
            tightest = needed.index(max(needed))
            prompts[tightest].require_room(windows[tightest].num_frames, max_positions, song.name)
        max_window_sec = max(0.75 * max_window_sec, shortest_sec)


def cut_song(song: TrackInfo, max_window_sec: float = 240.0) -> list[Window]:
    """Cut `song` into as few windows as possible, of lengths that differ by at most one frame.

    Raises InvalidInputError if a window would hold less than a frame.
    """
    max_frames = int(max_window_sec * FRAME_RATE_HZ)
    if max_frames < 1:
        raise InvalidInputError(f"max_window_sec is {max_window_sec}.", f"Give at least {1 / FRAME_RATE_HZ} s.")
    num_windows = math.ceil(song.num_frames / max_frames)
    edges = [i * song.num_frames // num_windows for i in range(num_windows + 1)]
    timing = _lyrics_timing(song.lyrics, num_windows)
    return [_window(song, start, end, timing) for start, end in pairwise(edges)]


def window_to_fit(
    song: TrackInfo, start_frame: int, num_frames: int, layout: PromptLayout, max_positions: int
) -> tuple[Window, Prompt]:
    """Return the window of `song` that begins at a frame, shorter if it and its prompt take more than `max_positions`.

    Raises InvalidInputError, naming the song, if the prompt leaves no room for 10 s.
    """
    shortest = min(num_frames, int(MIN_WINDOW_SEC * FRAME_RATE_HZ))
    timing = _lyrics_timing(song.lyrics, 1 if num_frames == song.num_frames else 2)
    while True:
        window = _window(song, start_frame, start_frame + num_frames, timing)
        prompt = layout.build(window.tags, window.lyrics)
        if prompt.num_positions(num_frames) <= max_positions:
            return window, prompt
        if num_frames == shortest:
            prompt.require_room(num_frames, max_positions, song.name)
        num_frames = max(3 * num_frames // 4, shortest)


def split_songs(songs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split song names into (train, held_out).

    One song in ten is held out, at least one where there are six or more, none where there are fewer. Which one
    depends on the names alone: not on their order, the process or a seed.
    """
    assert len(set(songs)) == len(songs), sorted(songs)
    held_out = set(held_out_order(songs)[: num_held_out(len(songs))])
    return [song for song in songs if song not in held_out], [song for song in songs if song in held_out]


def num_held_out(num_songs: int) -> int:
    return max(1, num_songs // 10) if num_songs >= MIN_SONGS_TO_HOLD_OUT else 0


def held_out_order(songs: Sequence[str]) -> list[str]:
    """Return song names in the order in which they are held out."""
    return sorted(songs, key=held_out_key)


def held_out_key(song: str) -> bytes:
    return hashlib.sha256(song.encode("utf-8", "surrogatepass")).digest()  # a file name may not be Unicode


def _lyrics_timing(lyrics: str, num_windows: int) -> LyricsTiming:
    if is_timed(lyrics):
        return "timed"
    return "spread" if num_windows > 1 and lyrics.strip() else "none"


def _window(song: TrackInfo, start_frame: int, end_frame: int, timing: LyricsTiming) -> Window:
    start_sec, end_sec, song_sec = map(song.version.source_sec, (start_frame, end_frame, song.num_frames))
    return Window(
        song=song.name,
        row=song.row,
        tags=song.tags,
        lyrics=lyrics_between(song.lyrics, start_sec, end_sec, song_sec),
        start_frame=start_frame,
        num_frames=end_frame - start_frame,
        ends_song=song.ends and end_frame == song.num_frames,
        lyrics_timing=timing,
    )
