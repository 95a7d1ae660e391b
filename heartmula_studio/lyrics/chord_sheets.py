"""Chord sheets as plain lyrics: ChordPro's directives and chords, and lines of chords or tablature over the words."""

import re
from collections.abc import Iterator

from heartmula_studio.lyrics.sections import section_mark

_ROOT = r"[A-G][#b♯♭]?"
_QUALITY = r"(?:maj|min|dim|aug|sus|add|[mM°øΔ+()#b♯♭-]|\d)*"
_CHORD = rf"(?:{_ROOT}{_QUALITY}(?:/{_ROOT})?|N\.C\.)"
_INLINE_CHORD = re.compile(rf"\[(?:{_CHORD}|H{_QUALITY})\]")
_CHORD_LINE = re.compile(rf"[| ]*{_CHORD}(?:[| ]+{_CHORD})*[| ]*")
_TELLING_LINE = re.compile(rf"(?=.*(?:[A-G](?:[#b♯♭]|m|maj|sus|dim|aug|\d|/)|  |\|)){_CHORD}[| ]+{_CHORD}[| ]*.*")
_TABLATURE = re.compile(r" *[A-Ga-g][#b]? ?\|(?=.*--)[-0-9a-z|~^()/\\ .*]*")

_DIRECTIVE = re.compile(r' *\{ *([a-z]\w*)(?:-[\w!]+)? *(?:(?::| (?=\w+=")) *([^{}]*))?\} *', re.IGNORECASE)
_SECTIONS = {"soc": "chorus", "sov": "verse", "sob": "bridge"}
_SECTIONS |= {f"start_of_{name}": name for name in _SECTIONS.values()}
_NO_WORDS = re.compile(r"so[tg]|start_of_\w+")
_END = re.compile(r"eo[bcgtv]|end_of_\w+")
_COMMENTS = ("c", "ci", "cb", "comment", "comment_italic", "comment_box", "highlight")
_WITHOUT_VALUE = ("new_song", "ns", "new_page", "np", "new_physical_page", "npp", "column_break", "colb", "grid", "g")


def without_chords(text: str) -> str:
    """Take what only players read out of cleaned lyrics; ChordPro's sections become marks."""
    lines = text.split("\n")
    is_chordpro = any(map(_directive, lines))
    if is_chordpro:
        lines = list(_from_chordpro(lines))
    if is_chordpro or any(map(_tells_chords, lines)):
        lines = [_INLINE_CHORD.sub("", line) for line in lines if not _is_for_players(line)]
    return "\n".join(lines)


def _directive(line: str) -> tuple[str, str] | None:
    """Name and value of a ChordPro directive; None for a line that is sung or the mark of a section."""
    found = _DIRECTIVE.fullmatch(line)
    if not found or section_mark(line):
        return None
    name, value = found[1].lower(), found[2]
    stands_alone = name in _SECTIONS or name in _WITHOUT_VALUE or _NO_WORDS.fullmatch(name) or _END.fullmatch(name)
    return (name, value or "") if value is not None or stands_alone else None


def _from_chordpro(lines: list[str]) -> Iterator[str]:
    is_skipped = False
    for line in lines:
        directive = _directive(line)
        if directive is None:
            if not is_skipped and not line.startswith("#"):
                yield line
            continue
        name, value = directive
        named = section_mark(f"{value}:")
        if name in _SECTIONS:
            yield named or f"[{_SECTIONS[name]}]"
        elif name in _COMMENTS and named:
            yield named
        else:
            is_skipped = not _END.fullmatch(name) and (is_skipped or bool(_NO_WORDS.fullmatch(name)))


def _tells_chords(line: str) -> bool:
    """A mark of one letter alone on its line may be a section's."""
    has_inline = _INLINE_CHORD.search(line) is not None and not _INLINE_CHORD.fullmatch(line.strip())
    is_chords = _TELLING_LINE.fullmatch(line.strip()) and _CHORD_LINE.fullmatch(line)
    return has_inline or bool(is_chords) or _TABLATURE.fullmatch(line) is not None


def _is_for_players(line: str) -> bool:
    is_only_chords = bool(line.strip()) and not _INLINE_CHORD.sub("", line).strip(" |")
    return is_only_chords or bool(_CHORD_LINE.fullmatch(line) or _TABLATURE.fullmatch(line))
