"""Timed lyrics of other kinds, rewritten as LRC line by line.

Subtitles (SRT, WebVTT, SBV), Whisper's, QRC, YRC and KRC, labels of Audacity, and clocks without brackets.

Everything else passes unchanged, and what is LRC already does too.
"""

import re
from collections.abc import Iterator
from statistics import median

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d{1,3})?)"
_EXACT_CLOCK = r"(\d{1,3}):(\d{1,2}):(\d{1,2}\.\d{1,3})"
_CUE = re.compile(rf" *{_CLOCK} *--> *{_CLOCK}(?: +(.*))?")
_CUE_SETTINGS = re.compile(r"(?:\w+:\S+(?: +|$))*")
_SBV_CUE = re.compile(rf" *{_EXACT_CLOCK},{_EXACT_CLOCK} *")
_BARE_CLOCK = re.compile(
    rf" *\(?{_CLOCK}\)?(?: *(?:-->|[-–—]) *\(?{_CLOCK}\)?)?(?:(?: *[|\t:–—-] *| +)(.*))?",
)
_LABEL = re.compile(r" *(\d{1,5}\.\d{6})[ \t]+\d{1,5}\.\d{6}[ \t]*(.*)")
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
    if any(_cue(line) for line in lines):
        lines = list(_from_cues(lines))
    elif _has_bare_clocks(lines):
        lines = list(_from_bare_clocks(lines))
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
    found = _THREE_PARTS.search(text) if clock_of(text) is None else None
    return found[0] if found else None


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


def _two_parts(match: re.Match[str], clock: str | None) -> str:
    a, b, c = match.groups()
    if clock == "hours":
        return stamp(_seconds(a, b, c))
    return f"[{a}:{b}.{c}]" if clock else ""


def _cue(line: str) -> re.Match[str] | None:
    return _CUE.fullmatch(line) or _SBV_CUE.fullmatch(line) if ":" in line else None


def _from_cues(lines: list[str]) -> Iterator[str]:
    """Yield the lines of subtitles, each under the time of its cue; numbers and names of cues go, and notes."""
    now, is_skipped = "", False
    for i, line in enumerate(lines):
        follows_blank = i == 0 or not lines[i - 1].strip()
        if cue := _cue(line):
            now, is_skipped = stamp(_seconds(*cue.groups()[:3])), False
            if cue.re is _CUE and cue[7] and not _CUE_SETTINGS.fullmatch(cue[7]):
                yield now + cue[7]
        elif not line.strip():
            now, is_skipped = "", False
        elif follows_blank and i + 1 < len(lines) and _cue(lines[i + 1]):
            continue
        elif follows_blank and _VTT_BLOCK.match(line):
            is_skipped = True
        elif not is_skipped:
            yield now + _CUE_MARKUP.sub("", line).strip()


def _has_bare_clocks(lines: list[str]) -> bool:
    """Whether clocks that open lines are stamps: a song may be about the 5:15, but not by the hundredth of a second."""
    filled = [line for line in lines if line.strip()]
    clocks = [clock for line in filled if (clock := _BARE_CLOCK.fullmatch(line))]
    if not clocks:
        return bool(filled) and all(map(_LABEL.fullmatch, filled))
    if all("." in clock[3] or "," in clock[3] for clock in clocks):
        return True
    times = [_seconds(*clock.groups()[:3]) for clock in clocks]
    return len(times) > 1 and times == sorted(set(times)) and 3 * len(clocks) >= len(filled)


def _from_bare_clocks(lines: list[str]) -> Iterator[str]:
    """Yield lines under the clock in front of them, or on a line of its own above them."""
    now = ""
    for line in lines:
        if label := _LABEL.fullmatch(line):
            yield stamp(float(label[1])) + label[2]
        elif clock := _BARE_CLOCK.fullmatch(line):
            at = stamp(_seconds(*clock.groups()[:3]))
            now = "" if clock[7] else at
            if clock[7]:
                yield at + clock[7]
        else:
            now = now if line.strip() else ""
            yield now + line


def stamp(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"[{minutes:02d}:{rest / 1000:06.3f}]"


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
