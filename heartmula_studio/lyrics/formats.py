"""Timed lyrics of other kinds, rewritten as LRC line by line: subtitles (SRT, WebVTT), Whisper's, QRC, YRC and KRC.

Everything else passes unchanged, and what is LRC already does too.
"""

import re
from collections.abc import Iterator
from statistics import median

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d{1,3})?)"
_CUE = re.compile(rf" *{_CLOCK} *--> *{_CLOCK}(?: .*)?")
_WHISPER = re.compile(rf" *\[{_CLOCK} *--> *{_CLOCK}\] *(.*)")
_MILLISECONDS = re.compile(r" *\[(\d{1,8}),(\d{1,8})\](.*)")
_WORD_TIMES = re.compile(r"\(\d{1,8},\d{1,8}(?:,-?\d{1,8})?\)|<\d{1,8},\d{1,8}(?:,-?\d{1,8})?>")
_KRC_WORD = re.compile(r"<\d{1,8},\d{1,8},-?\d{1,8}>")
_CUE_MARKUP = re.compile(r"</?(?:[bicuv]|font|ruby|rt|lang)(?:[. ][^<>]*)?>|\{\\[^{}]*\}|<(?:\d+:)?\d+:\d+\.\d+>|[♪♫]")
_VTT_BLOCK = re.compile(r"WEBVTT|NOTE\b|STYLE\b|REGION\b")
_THREE_PARTS = re.compile(r"\[(\d{1,3}):(\d{1,2}):(\d{1,3})\]")
_HOURS = re.compile(r"\[\d{1,3}:\d{1,2}:\d{1,2}[.,]\d{1,3}\]")

_SHORTEST_LINE_SEC = 0.5  # between most lines of a song


def as_lrc(text: str) -> str:
    """Return cleaned lyrics with every time as a stamp `[mm:ss.xxx]`, and no other marks of their kind."""
    lines = text.split("\n")
    if "-->" in text and any(_CUE.fullmatch(line) for line in lines):
        lines = list(_from_cues(lines))
    clock = clock_of(text)
    return "\n".join(_rewritten(line, clock) for line in lines)


def clock_of(text: str) -> str | None:
    """What stamps of three parts mean in a text: "hours" (h:m:s) or "hundredths" (mm:ss:xx); None where unclear.

    Fractions of the last part, or a third part over 59, tell; else how close the lines would be to each other.
    """
    stamps = sorted({(int(a), int(b), int(c)) for a, b, c in _THREE_PARTS.findall(text)})
    if _HOURS.search(text):
        return "hours"
    if not stamps or any(c > 59 for _, _, c in stamps):
        return "hundredths"
    if len(stamps) > 1:
        times = [60 * a + b + c / 100 for a, b, c in stamps]
        gap = median(later - earlier for earlier, later in zip(times, times[1:], strict=False))
        return "hundredths" if gap >= _SHORTEST_LINE_SEC else "hours"
    return "hundredths" if stamps[0][0] == 0 else None


def unclear_stamp(text: str) -> str | None:
    """The stamp of three parts that may mean two times; None where there is none."""
    if clock_of(text) is not None:
        return None
    return _THREE_PARTS.search(text)[0]


def _rewritten(line: str, clock: str | None) -> str:
    if "[" not in line and "<" not in line:
        return line
    if spoken := _WHISPER.fullmatch(line):
        return stamp(_seconds(*spoken.groups()[:3])) + spoken[7]
    if timed := _MILLISECONDS.fullmatch(line):
        return stamp(int(timed[1]) / 1000) + _WORD_TIMES.sub("", timed[3])
    if "<" in line:
        line = _KRC_WORD.sub("", line)
    return _THREE_PARTS.sub(lambda match: _two_parts(match, clock), line) if line.count(":") > 1 else line


def _two_parts(match: re.Match, clock: str | None) -> str:
    a, b, c = match.groups()
    if clock == "hours":
        return stamp(_seconds(a, b, c))
    return f"[{a}:{b}.{c}]" if clock else ""


def _from_cues(lines: list[str]) -> Iterator[str]:
    """Yield the lines of subtitles, each under the time of its cue; numbers and names of cues go, and notes."""
    now, is_skipped = "", False
    for i, line in enumerate(lines):
        follows_blank = i == 0 or not lines[i - 1].strip()
        if cue := _CUE.fullmatch(line):
            now, is_skipped = stamp(_seconds(*cue.groups()[:3])), False
        elif not line.strip():
            now, is_skipped = "", False
        elif follows_blank and i + 1 < len(lines) and _CUE.fullmatch(lines[i + 1]):
            continue
        elif follows_blank and _VTT_BLOCK.match(line):
            is_skipped = True
        elif not is_skipped:
            yield now + _CUE_MARKUP.sub("", line).strip()


def stamp(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"[{minutes:02d}:{rest / 1000:06.3f}]"


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
