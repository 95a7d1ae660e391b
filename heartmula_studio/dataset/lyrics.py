"""Lyrics in time: which lines are sung in a window of the song.

Knows nothing of tokens. What comes out is what the model reads: no stamps, no metadata.

Timing rules:
- a line belongs to the moment its singing starts, so to exactly one window, also if it is still being sung when
  the next window begins: its first words, by which text and sound are matched, are in the earlier one;
- lines without a stamp lie evenly between their timed neighbours (or the song's ends). With no stamps at all, that
  spreads the text over the song, each window getting its share of the lines;
- a section mark sticks to the line below it. A window that opens inside a section repeats that section's mark;
- lines stamped after the end of the recording are not heard in it and are left out.
"""

from collections.abc import Sequence

import numpy as np

from heartmula_studio.lyrics.parsing import LyricLine, parse_lyrics


def is_timed(lyrics: str) -> bool:
    """Tell whether any line carries an LRC time stamp."""
    return any(line.stamps_sec for line in parse_lyrics(lyrics))


def plain_lyrics(lyrics: str) -> str:
    """Return the whole lyrics as the model reads them. Untimed text stays as it was written."""
    return _render([line for _, line in _scheduled(parse_lyrics(lyrics), song_sec=0.0)])


def lyrics_between(lyrics: str, start_sec: float, end_sec: float, song_sec: float) -> str:
    """Return the lines that start in `[start_sec, end_sec)`, under the section mark in force; "" if none does."""
    schedule = _scheduled(parse_lyrics(lyrics), song_sec)
    return _render([line for at_sec, line in schedule if start_sec <= at_sec < end_sec])


def _scheduled(lines: Sequence[LyricLine], song_sec: float) -> list[tuple[float, LyricLine]]:
    """Return (start in seconds, line) in singing order, a repeated line once for each time it is sung."""
    anchors = [(-0.5, 0.0)]
    anchors += [(i, min(line.stamps_sec)) for i, line in enumerate(lines) if line.stamps_sec]
    anchors += [(len(lines) - 0.5, max(song_sec, anchors[-1][1]))]
    indices, starts_sec = zip(*anchors, strict=True)
    between_sec = np.interp(np.arange(len(lines)), indices, starts_sec)
    schedule = [
        (at_sec, line)
        for line, evenly_sec in zip(lines, between_sec.tolist(), strict=True)
        for at_sec in line.stamps_sec or (evenly_sec,)
    ]
    return sorted(schedule, key=lambda entry: entry[0])


def _render(lines: Sequence[LyricLine]) -> str:
    out, section = [], ""
    for line in lines:
        if line.section != section and line.section not in line.lead:
            out.append(line.section)
        out += line.lead
        if line.text:
            out.append(line.text)
        section = line.section
    return "\n".join(out).strip()
