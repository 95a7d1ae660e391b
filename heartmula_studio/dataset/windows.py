"""Long songs become several training windows; one song in ten is held out."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from datasets import Dataset

from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ
from heartmula_studio.dataset.lyrics import is_timed, lyrics_between
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.dataset.songs import check_songs, song_codes
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


def cut_windows(
    dataset: Dataset,
    max_window_sec: float = 240.0,
    frame_rate_hz: float = FRAME_RATE_HZ,
    layout: PromptLayout | None = None,
    max_positions: int | None = None,
) -> list[Window]:
    """Cut every song into as few windows as possible, of lengths that differ by at most one frame.

    With `layout` and `max_positions` (the backbone's `max_seq_len`), a song whose prompt and frames do not fit into
    the model gets shorter windows.
    Raises InvalidInputError, naming the song, if its prompt leaves no room for windows of 10 s; and as `check_songs`.
    """
    assert (layout is None) == (max_positions is None), (layout, max_positions)
    if max_window_sec * frame_rate_hz < 1:
        raise InvalidInputError(f"max_window_sec is {max_window_sec}.", f"Give at least {1 / frame_rate_hz} s.")
    rows = check_songs(dataset).select_columns(["song", "tags", "lyrics"])
    songs = [_Song(i, row, song_codes(dataset, i).shape[1], frame_rate_hz) for i, row in enumerate(rows)]
    if layout is None:
        return [window for song in songs for window in song.cut(max_window_sec)]
    return [window for song in songs for window in song.cut_to_fit(max_window_sec, layout, max_positions)]


def split_songs(songs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split song names into (train, held_out).

    One song in ten is held out, at least one where there are six or more, none where there are fewer. Which one
    depends on the names alone: not on their order, the process or a seed.
    """
    assert len(set(songs)) == len(songs), sorted(songs)
    num_held_out = max(1, len(songs) // 10) if len(songs) >= MIN_SONGS_TO_HOLD_OUT else 0
    held_out = set(sorted(songs, key=lambda song: hashlib.sha256(song.encode()).digest())[:num_held_out])
    return [song for song in songs if song not in held_out], [song for song in songs if song in held_out]


@dataclass(frozen=True)
class _Song:
    row: int
    columns: Mapping[str, str]
    num_frames: int
    frame_rate_hz: float

    def cut_to_fit(self, max_window_sec: float, layout: PromptLayout, max_positions: int) -> list[Window]:
        shortest_sec = min(MIN_WINDOW_SEC, max_window_sec)
        while True:
            windows = self.cut(max_window_sec)
            prompts = [layout.build(window.tags, window.lyrics) for window in windows]
            needed = [prompt.num_positions(window.num_frames) for prompt, window in zip(prompts, windows, strict=True)]
            if max(needed) <= max_positions:
                return windows
            if max_window_sec == shortest_sec:
                tightest = needed.index(max(needed))
                prompts[tightest].require_room(windows[tightest].num_frames, max_positions, self.columns["song"])
            max_window_sec = max(0.75 * max_window_sec, shortest_sec)

    def cut(self, max_window_sec: float) -> list[Window]:
        num_windows = math.ceil(self.num_frames / int(max_window_sec * self.frame_rate_hz))
        edges = [i * self.num_frames // num_windows for i in range(num_windows + 1)]
        timing = self._lyrics_timing(num_windows)
        return [self._window(start, end, timing) for start, end in pairwise(edges)]

    def _lyrics_timing(self, num_windows: int) -> LyricsTiming:
        lyrics = self.columns["lyrics"]
        if is_timed(lyrics):
            return "timed"
        return "spread" if num_windows > 1 and lyrics.strip() else "none"

    def _window(self, start_frame: int, end_frame: int, timing: LyricsTiming) -> Window:
        start_sec, end_sec, song_sec = (f / self.frame_rate_hz for f in (start_frame, end_frame, self.num_frames))
        return Window(
            song=self.columns["song"],
            row=self.row,
            tags=self.columns["tags"],
            lyrics=lyrics_between(self.columns["lyrics"], start_sec, end_sec, song_sec),
            start_frame=start_frame,
            num_frames=end_frame - start_frame,
            ends_song=end_frame == self.num_frames,
            lyrics_timing=timing,
        )
