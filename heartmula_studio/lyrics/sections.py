"""Names of sections, however people mark them, as the model knows them: `[chorus]`."""

import re

_CLEAR = (
    *("intro", "verse", "pre-chorus", "pre chorus", "prechorus", "chorus", "post-chorus", "post chorus", "postchorus"),
    *("bridge", "outro", "interlude", "instrumental", "refrain"),
)
_WITH_MARKS = (
    *("hook", "solo", "break", "breakdown", "drop", "build", "build-up", "buildup", "coda", "ending", "end", "vamp"),
    *("ad-lib", "ad-libs", "ad lib", "ad libs", "spoken", "rap", "skit", "opening", "inst"),
    *("guitar solo", "piano solo", "drum solo", "bass solo", "sax solo", "instrumental break", "final chorus"),
)

_LONGEST_CHARS = 60
_NUMBER = r"(?: *#? *\d{1,2}| +(?:[ivIV]{1,3}|[a-dA-D]))?"
_TIMES = r"(?: *[,(\[]? *(?:(?:x|×) *\d{1,2}|\d{1,2} *(?:x|×)|(?:repeat|repeats|twice)(?: *\d{1,2}x?)?) *[)\]]?)?"
_NAMES = "|".join(re.escape(name) for name in sorted((*_CLEAR, *_WITH_MARKS), key=len, reverse=True))
_CLEAR_NAMES = "|".join(re.escape(name) for name in sorted(_CLEAR, key=len, reverse=True))
_DECORATION = "*_#=~-–— "
_BARE = re.compile(rf"((?:{_CLEAR_NAMES}){_NUMBER}){_TIMES}", re.IGNORECASE)
_MARKED = re.compile(rf"((?:{_NAMES}){_NUMBER}){_TIMES}", re.IGNORECASE)
_REPEATED = re.compile(rf"\[ *((?:{_NAMES}){_NUMBER})(?P<times>{_TIMES}) *\]", re.IGNORECASE)
_BRACKETS = (("(", ")"), ("<", ">"), ("{", "}"), ("（", "）"), ("【", "】"), ("「", "」"))
_SECTION_MARK = re.compile(r"\[[^\[\]]+\]")
_NAME_IN_KEY = re.compile(rf"(?:{_NAMES})\b", re.IGNORECASE)


def section_mark(line: str) -> str | None:
    """The mark that a whole line stands for; None for a sung line, also one with such a name among its words.

    A line in square brackets is a mark as it is written, but for how often the section is sung.
    """
    line = line.strip()
    if len(line) > _LONGEST_CHARS:
        return line if _SECTION_MARK.fullmatch(line) else None
    if repeated := _REPEATED.fullmatch(line):
        return f"[{repeated[1].lower()}]" if repeated["times"] else line
    if _SECTION_MARK.fullmatch(line):
        return line
    plain = line.strip(_DECORATION)
    if plain != line and _SECTION_MARK.fullmatch(plain):
        return section_mark(plain)
    is_decorated = plain != line
    if plain.endswith((":", "：")):
        plain, is_decorated = plain[:-1].rstrip(" *_"), True
    for left, right in _BRACKETS:
        if plain.startswith(left) and plain.endswith(right):
            plain, is_decorated = plain[1:-1].strip(" :/"), True
    match = (_MARKED if is_decorated else _BARE).fullmatch(plain)
    return f"[{' '.join(match[1].lower().split())}]" if match else None


def names_section(key: str) -> bool:
    """Whether the key of `[key:value]` is the name of a section, as in `[verse: both]`."""
    return _NAME_IN_KEY.match(key) is not None
