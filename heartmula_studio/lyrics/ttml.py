"""Timed Text Markup (TTML, as Apple Music and subtitle editors write it) as LRC, line by line."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.formats import stamp

_START = re.compile(r"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:\w{1,20}:)?tt[\s>]", re.DOTALL)
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)(?::(\d+))?")
_OFFSET = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
_UNIT_SEC = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NOT_SUNG = ("x-translation", "x-roman")  # roles
_FRAME_RATE, _TICK_RATE = 30.0, 1.0  # where a file names none


def is_ttml(text: str) -> bool:
    return _START.match(text) is not None


def ttml_as_lrc(text: str) -> str:
    """Return the lines of a file with their times, and the parts of the song as section marks.

    Translations and transcriptions into Latin letters are left out. Raises InvalidInputError for what is not whole XML,
    holds no line, or declares a document type, whose entities may stand for anything.
    """
    if "<!DOCTYPE" in text:
        raise InvalidInputError(
            "The lyrics are TTML with a document type, which is not supported.", "Save them without it."
        )
    try:
        root = ElementTree.fromstring(text.strip())
        clock = _Clock(root)
        lines = [line for body in _all(root, "body") for line in _lines_of(body, clock)]
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"The lyrics are damaged TTML: {error}.", "Get the file again.") from error
    if not lines:
        raise InvalidInputError("The lyrics are TTML without any lines.", "Get the file again.")
    return "\n".join(lines)


class _Clock:
    """Reads times as a file counts them."""

    def __init__(self, root: Element):
        self._units = {
            **_UNIT_SEC,
            "f": 1 / (_number(_attribute(root, "frameRate")) or _FRAME_RATE),
            "t": 1 / (_number(_attribute(root, "tickRate")) or _TICK_RATE),
        }

    def seconds(self, element: Element) -> float | None:
        """When an element begins; None where it does not say."""
        text = _attribute(element, "begin").strip()
        if offset := _OFFSET.fullmatch(text):
            return float(offset[1]) * self._units[offset[2]]
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds, frames = (float(part or 0) for part in clock.groups())
            return 3600 * hours + 60 * minutes + seconds + frames * self._units["f"]
        return None


def _lines_of(body: Element, clock: _Clock) -> Iterator[str]:
    sections = list(_all(body, "div")) or [body]
    for section in sections:
        if part := _attribute(section, "songPart") or _attribute(section, "song-part"):
            yield f"[{part.strip('[] ').lower()}]"
        lines = list(_all(section, "p"))
        since_sec = _since_sec(section, lines, clock)
        for line in lines:
            begins = (clock.seconds(one) for one in line.iter())
            begin_sec = next((begin for begin in begins if begin is not None), None)
            at = "" if begin_sec is None else stamp(since_sec + begin_sec)
            yield from (at + text for text in _texts(line))


def _since_sec(section: Element, lines: list[Element], clock: _Clock) -> float:
    """What the times of a section's lines count from: its own beginning, unless they cannot mean that."""
    section_sec = clock.seconds(section) or 0.0
    first_sec = next((begin for line in lines if (begin := clock.seconds(line)) is not None), section_sec)
    return section_sec if first_sec < section_sec else 0.0


def _texts(line: Element) -> Iterator[str]:
    words = "".join(_words(line))
    return (" ".join(text.split()) for text in words.split("\n"))


def _words(element: Element) -> Iterator[str]:
    """The text of an element, with a line break for each that it contains, and blanks for those of its source."""
    yield _flat(element.text)
    for child in element:
        if _name(child.tag) == "br":
            yield "\n"
        elif _attribute(child, "role") not in _NOT_SUNG and _name(child.tag) != "metadata":
            yield from _words(child)
        yield _flat(child.tail)


def _flat(text: str | None) -> str:
    return (text or "").replace("\n", " ")


def _all(element: Element, name: str) -> Iterator[Element]:
    return (one for one in element.iter() if _name(one.tag) == name)


def _attribute(element: Element, name: str) -> str:
    """Of whatever namespace: writers disagree on them."""
    return next((value for key, value in element.attrib.items() if _name(key) == name), "")


def _name(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
