"""Names of sections, however people mark them, as the model knows them: `[chorus]`."""

import re
from collections.abc import Iterable

_CLEAR = (
    *("intro", "verse", "pre-chorus", "pre chorus", "prechorus", "chorus", "post-chorus", "post chorus", "postchorus"),
    *("bridge", "outro", "interlude", "instrumental", "refrain"),
)
_WITH_MARKS = (
    *("hook", "solo", "break", "breakdown", "drop", "build", "build-up", "buildup", "coda", "ending", "end", "vamp"),
    *("ad-lib", "ad-libs", "ad lib", "ad libs", "spoken", "rap", "skit", "opening", "inst"),
    *("guitar solo", "piano solo", "drum solo", "bass solo", "sax solo", "instrumental break", "final chorus"),
)

_OTHER_LANGUAGES = {
    "intro": "前奏 引子 イントロ 인트로 전주 вступление",
    "verse": "主歌 Aメロ 벌스 verso estrofa couplet strophe strofa куплет",
    "pre-chorus": "预副歌 預副歌 前副歌 导歌 導歌 Bメロ 프리코러스 предприпев",
    "chorus": "副歌 サビ 大サビ 落ちサビ ラスサビ コーラス 후렴 후렴구 코러스 estribillo coro refrão ritornello припев",
    "bridge": "桥段 橋段 过渡 Cメロ Dメロ ブリッジ 브릿지 브리지 puente ponte pont brücke бридж",
    "interlude": "间奏 間奏 간주 проигрыш",
    "outro": "尾奏 尾声 尾聲 结尾 後奏 アウトロ 아웃트로 후주 концовка",
    "rap": "说唱 說唱 ラップ 랩",
    "spoken": "独白 獨白 念白 セリフ 내레이션",
}
"""Names that mark a section in brackets or before a colon only."""

_LONGEST_CHARS = 60
_NUMBER = r"(?: *#? *\d{1,2}| +(?:[ivIV]{1,3}|[a-dA-D])| *[一二三四五六]| +(?:one|two|three|four|five|six))?"
_TIMES = r"(?: *[,(\[]? *(?:(?:x|×) *\d{1,2}|\d{1,2} *(?:x|×)|(?:repeat|repeats|twice)(?: *\d{1,2}x?)?) *[)\]]?)?"
_ENGLISH = {name.lower(): english for english, names in _OTHER_LANGUAGES.items() for name in names.split()}
_CLEAR_ABROAD = [name for name, english in _ENGLISH.items() if english in _CLEAR and name > "\u3000"]


def _one_of(names: Iterable[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"


_NAMES = _one_of((*_CLEAR, *_WITH_MARKS, *_ENGLISH))
_DECORATION = "*_#=~-–— "
_BARE = re.compile(rf"({_one_of((*_CLEAR, *_CLEAR_ABROAD))}{_NUMBER}){_TIMES}", re.IGNORECASE)
_MARKED = re.compile(rf"({_NAMES}{_NUMBER}){_TIMES}", re.IGNORECASE)
_REPEATED = re.compile(rf"\[ *({_NAMES}{_NUMBER})(?P<times>{_TIMES}) *\]", re.IGNORECASE)
_BRACKETS = (("(", ")"), ("<", ">"), ("{", "}"), ("（", "）"), ("「", "」"), ("《", "》"), ("〈", "〉"))
_LEFT, _RIGHT = "【［〔〖", "】］〕〗"
_SECTION_MARK = re.compile(rf"[\[{_LEFT}]([^\[\]{_LEFT}{_RIGHT}]+)[\]{_RIGHT}]")
_BRACKETED = re.compile(rf"([\[{_LEFT}][^\[\]{_LEFT}{_RIGHT}]{{1,{_LONGEST_CHARS}}}[\]{_RIGHT}])")
_NAMED_MARK = re.compile(rf". ?{_NAMES}{_NUMBER}{_TIMES} ?(?:[:：].*)?.", re.IGNORECASE)
_NAME_IN_KEY = re.compile(rf"{_NAMES}\b", re.IGNORECASE)
_ABROAD = re.compile(rf"({_one_of(_ENGLISH)}) *(.*)")
_DIGITS = str.maketrans("一二三四五六", "123456")
_NUMBERS = ("one", "two", "three", "four", "five", "six")
_SPELLED = ("first", "second", "third", "fourth", "fifth", "sixth")
_ORDINAL = re.compile(rf"\b(?:([1-9])(?:st|nd|rd|th)|({_one_of(_SPELLED)})) +({_NAMES})\b(?! *\d)", re.IGNORECASE)


def section_mark(line: str) -> str | None:
    """The mark that a whole line stands for; None for a sung line, also one with such a name among its words.

    A line in square brackets is a mark as it is written, but for how often the section is sung, and in English.
    """
    line = _numbered_last(line.strip())
    if mark := _SECTION_MARK.fullmatch(line.rstrip(" :：")):
        return _written_mark(mark[1])
    if len(line) > _LONGEST_CHARS:
        return None
    if repeated := _REPEATED.fullmatch(line):
        return _named(repeated[1])
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
    return _named(match[1]) if match else None


def split_at_marks(line: str) -> list[str]:
    """The marks of known sections in a line and the words around them, in order: `[verse]hello` is two."""
    pieces = [""]
    for i, piece in enumerate(_BRACKETED.split(line)):
        if i % 2 and _NAMED_MARK.fullmatch(_numbered_last(" ".join(piece.split()))):
            pieces += [piece, ""]
        else:
            pieces[-1] += piece
    return [piece.strip() for piece in pieces if piece.strip()]


def names_section(key: str) -> bool:
    """Whether the key of `[key:value]` is the name of a section, as in `[verse: both]`."""
    return _NAME_IN_KEY.match(key) is not None


def _numbered_last(line: str) -> str:
    """Write "2nd Verse" as "Verse 2"."""

    def reordered(match: re.Match[str]) -> str:
        return f"{match[3]} {match[1] or _SPELLED.index(match[2].lower()) + 1}"

    return _ORDINAL.sub(reordered, line) if len(line) <= _LONGEST_CHARS else line


def _written_mark(name: str) -> str:
    repeated = _REPEATED.fullmatch(f"[{name}]") if len(name) <= _LONGEST_CHARS else None
    is_rewritten = repeated and (repeated["times"] or _ABROAD.match(repeated[1].lower()))
    return _named(repeated[1]) if repeated and is_rewritten else f"[{name}]"


def _named(written: str) -> str:
    name = " ".join(written.lower().split())
    if abroad := _ABROAD.match(name):
        name = f"{_ENGLISH[abroad[1]]} {abroad[2].translate(_DIGITS)}".strip()
    first, _, number = name.rpartition(" ")
    return f"[{first} {_NUMBERS.index(number) + 1}]" if number in _NUMBERS else f"[{name}]"
