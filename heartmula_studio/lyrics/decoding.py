"""Bytes of a lyrics file as text: Unicode, or the national encoding that its letters speak for.

A wrong encoding gives other words, which would be learnt silently, so what cannot be told is refused by name.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import charset_normalizer

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.regular_file import open_regular
from heartmula_studio.lyrics.checking import checked_lyrics

MAX_LYRICS_BYTES = 1_000_000
MAX_SHOWN_CHARS = 80
SAVE_AS_UTF8 = "Open it in an editor that shows it right, and save it as UTF-8."

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")  # what no text holds: tab, line and page breaks are left out
_NAMES = {"cp949": "EUC-KR", "cp932": "Shift-JIS", "gb18030": "GBK", "big5": "Big5", "euc_jp": "EUC-JP"}
_NO_TEXT = {b"krc1": "an encrypted KRC file", b"%PDF-": "a PDF", b"PK\x03\x04": "a packed document or a zip file"}
_GUESSES = ("gb18030", "big5", "cp932", "cp949", "euc_jp", "cp1250", "cp1251", "cp1252")

# The letters beside a to z of the languages that each encoding was made for, in lower case.
_WESTERN = (
    *("àâæçéèêëîïôœùûü", "äöüßé", "áéíñóúüï", "ãáàâçéêíõóôúü", "àèéìíîòóùú", "åäöæøé", "éëïóöüèáíúê"),
    *("áéíóúýðþæö", "äöõüšž", "àçèéíïòóúü"),
)
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ")
_MIXED_WESTERN = ("".join(_WESTERN[:6]),)
_ALL_WESTERN = (*_WESTERN, *_MIXED_WESTERN)
_VOWELS = "аеёиоуыэюяіїєъ"
_IN_LATIN_WORD = re.compile(r"[a-z][^\W_a-zA-Z\d][a-z]")
_RARE = set("šž")  # in the West never alone, and other letters in other encodings
_NOT_IN_WORDS = "€‚ƒ„‹‘“”•–™›"
_GLUED_DASH = re.compile(r"[a-z]—[a-z]")
_CONTRACTION = re.compile(r"[a-z]’(?:t|s|m|ll|re|ve|d)\b", re.IGNORECASE)
_SIGNS = "’‘“”„‚…–—«»‹›¿¡·°©®€£´•™\xa0"

_MAX_ACCENTED = 0.4  # of all letters; more of them are another script, read wrongly
_MIN_EVIDENCE = 10  # characters
_MIN_KANA, _MIN_HANGUL, _MIN_COMMON = 0.3, 0.9, 0.85  # shares of the characters beyond ASCII
_CLEARLY = 0.15


@dataclass(frozen=True)
class DecodedLyrics:
    """`encoding` is Python's name of the one that was taken."""

    text: str
    encoding: str

    @property
    def question(self) -> str:
        """What to ask the person whose file it is, where the encoding was guessed; "" for Unicode."""
        if self.encoding.startswith("utf"):
            return ""
        name = _NAMES.get(self.encoding, self.encoding)
        line = next((line for line in self.text.split("\n") if not line.isascii()), "")
        return f"It was read as {name}. See that its words are right: {line.strip()[:MAX_SHOWN_CHARS]}"


def read_lyrics(path: Path) -> str:
    """Read the text of a lyrics file. Raises as `read_lyrics_file`."""
    return read_lyrics_file(path).text


def read_lyrics_file(path: Path) -> DecodedLyrics:
    """Read a lyrics file in Unicode or a national encoding.

    Raises NotFoundError if there is none; InvalidInputError if it is too large, not text, of a kind that is not read,
    or in an encoding that cannot be told.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_LYRICS_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"Cannot read the lyrics file {path} ({error.strerror}).") from error
    if len(raw) > MAX_LYRICS_BYTES:
        raise InvalidInputError(f"The lyrics file {path} is over {MAX_LYRICS_BYTES:,} bytes.", "Give lyrics only.")
    try:
        decoded = decode_lyrics(raw)
        return DecodedLyrics(checked_lyrics(decoded.text), decoded.encoding)
    except InvalidInputError as error:
        raise InvalidInputError(f"The lyrics file {path} cannot be used: {error.message}", error.hint) from error


def decode_lyrics(raw: bytes) -> DecodedLyrics:
    """Return the text of some bytes. Raises InvalidInputError where they are no text, or may be several."""
    for head, kind in _NO_TEXT.items():
        if raw.startswith(head):
            raise InvalidInputError(f"it is {kind}, not text.", "Save it as plain text in UTF-8.")
    unicode = _unicode_encoding(raw)
    encoding = unicode or _national_encoding(raw)
    if encoding is None:
        raise _undecided(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text() from error
    if _CONTROL.search(text):
        raise _not_text()
    return DecodedLyrics(text, encoding)


def _unicode_encoding(raw: bytes) -> str | None:
    """Text that is mostly Latin has a zero in every other byte of UTF-16."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros_even, zeros_odd = raw[::2].count(0), raw[1::2].count(0)
    if max(zeros_even, zeros_odd) > len(raw) / 8:
        return "utf-16-be" if zeros_even > zeros_odd else "utf-16-le"
    return "utf-8-sig" if _decoded(raw, "utf-8") is not None else None


def _national_encoding(raw: bytes) -> str | None:
    """The first whose letters are those of a language it was made for; None where none, or several, are."""
    if any(byte in raw for byte in b"\0\1\2\3\4\5\6\7\x08"):
        raise _not_text()
    rules: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
        ("cp1252", lambda raw: _is_latin(_decoded(raw, "cp1252"), _WESTERN)),
        ("cp1250", lambda raw: _is_latin(_decoded(raw, "cp1250"), _CENTRAL) and not _is_latin_mac(raw)),
        ("cp932", lambda raw: _share(_decoded(raw, "cp932"), _is_kana) >= _MIN_KANA),
        ("euc_jp", _is_euc_jp),
        ("cp949", lambda raw: _share(_decoded(raw, "cp949"), _is_hangul) >= _MIN_HANGUL),
        ("gb18030", lambda raw: _is_chinese(raw, "gb18030", "big5")),
        ("big5", lambda raw: _is_chinese(raw, "big5", "gb18030")),
        ("cp1251", _is_cyrillic),
        ("cp1252", lambda raw: _is_latin(_decoded(raw, "cp1252"), _MIXED_WESTERN)),
        ("mac_roman", _is_mac_roman),
    )
    return next((encoding for encoding, holds in rules if holds(raw)), None)


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_latin(text: str | None, alphabets: tuple[str, ...]) -> bool:
    """Whether a text is in the letters of one language, accents being the fewer, and signs where they may stand."""
    if text is None:
        return False
    beyond = {c for c in text.lower() if c > "\x7f"}
    letters = {c for c in beyond if unicodedata.category(c).startswith("L")}
    if not beyond - letters <= set(_SIGNS) or re.search(r"\w[¿¡]|[^\W\d_a-zA-Z]{4}", text) or _is_misread(text):
        return False
    all_letters = [c for c in text.lower() if c.isalpha()]
    accented = sum(c > "\x7f" for c in all_letters)
    if accented > _MAX_ACCENTED * len(all_letters) or (letters and letters <= _RARE and alphabets != _CENTRAL):
        return False
    return any(letters <= set(alphabet) for alphabet in alphabets)


def _is_misread(text: str) -> bool:
    """Whether letters and signs stand where another encoding's letters would: "fŸr", "donÕt", "coraz—n", "CORAZîN"."""
    triples = zip(" " + text, text, text[1:] + " ", strict=False)
    for before, here, behind in triples:
        if here < "\x80":
            continue
        if before.isalpha() and (here in "‚„" or here in _NOT_IN_WORDS and behind.isalpha()):
            return True
        is_in_capitals = before.isupper() and behind.isupper()
        if here.isupper() and (before.islower() or (here in "ÕÒÓÑÐ" and not behind.isalpha() and not before.isalpha())):
            return True
        if here.islower() and is_in_capitals or (here == "œ" and behind not in "uie"):
            return True
    return "—" in text and _GLUED_DASH.search(text) is not None and not _CONTRACTION.search(text)


def _is_mac_roman(raw: bytes) -> bool:
    """Whether it is old Macs' encoding, and not that of DOS, which has other letters at the same places."""
    others = (_decoded(raw, name) for name in ("cp1252", "cp850"))
    return _is_latin_mac(raw) and not any(_is_latin(text, _ALL_WESTERN) for text in others)


def _is_latin_mac(raw: bytes) -> bool:
    return _is_latin(_decoded(raw, "mac_roman"), _ALL_WESTERN)


def _share(text: str | None, is_of_script: Callable[[str], bool]) -> float:
    """The share of a script among the characters beyond ASCII; 0 where they are too few to tell, or in Latin words."""
    if text and _IN_LATIN_WORD.search(text):
        return 0.0
    beyond = [c for c in text or "" if c > "\x7f" and not c.isspace() and unicodedata.category(c)[0] != "P"]
    return sum(map(is_of_script, beyond)) / len(beyond) if len(beyond) >= _MIN_EVIDENCE else 0.0


def _is_kana(character: str) -> bool:
    return "\u3041" <= character <= "\u30ff"


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3"


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


def _is_euc_jp(raw: bytes) -> bool:
    """Kana have the same bytes in GBK, so the kanji have to be Japan's common ones, which are the first half."""
    text = _decoded(raw, "euc_jp")
    kanji = [c for c in text or "" if "\u4e00" <= c <= "\u9fff"]
    common = sum(c.encode("euc_jp")[0] <= 0xCF for c in kanji)
    return _share(text, _is_kana) >= _MIN_KANA and common >= 0.95 * len(kanji)


def _is_chinese(raw: bytes, encoding: str, other: str) -> bool:
    """Whether nearly all is in the common half of an encoding's characters, and clearly less is in the other's.

    Traditional characters in GBK are in no common half; that Big5 cannot read them tells.
    """
    own, others = _common_share(raw, encoding), _common_share(raw, other)
    if own >= _MIN_COMMON and own - others >= _CLEARLY:
        return True
    is_read = encoding == "gb18030" and _decoded(raw, other) is None and _share(_decoded(raw, encoding), _is_han) > 0
    return is_read and _guesses(raw)[:1] == [encoding]


def _common_share(raw: bytes, encoding: str) -> float:
    first, last, trail = (0xB0, 0xD7, 0xA1) if encoding == "gb18030" else (0xA4, 0xC6, 0x40)

    def is_common(character: str) -> bool:
        pair = character.encode(encoding)
        return len(pair) == 2 and first <= pair[0] <= last and pair[1] >= trail

    return _share(_decoded(raw, encoding), is_common)


def _is_cyrillic(raw: bytes) -> bool:
    """Other scripts also look Cyrillic, but not like words: with vowels, and capitals at their beginnings only.

    KOI8-R has small letters where these are capitals, and Hebrew lies within the small ones up to ъ.
    """
    text = _decoded(raw, "cp1251") or ""
    letters = [c for c in text if _is_cyrillic_letter(c)]
    vowels, capitals = sum(c in _VOWELS for c in text.lower()), sum(c.isupper() for c in letters)
    is_worded = 0.3 <= vowels / max(len(letters), 1) <= 0.6 and not re.search(r"[а-яё][А-ЯЁ]", text)
    is_cased = capitals <= len(letters) / 2 or capitals == len(letters)
    is_hebrew = all("а" <= c <= "ъ" for c in letters)
    if not is_worded or not is_cased or is_hebrew:
        return False
    return _share(text, _is_cyrillic_letter) >= _MIN_HANGUL and _guesses(raw)[:1] == ["cp1251"]


def _is_cyrillic_letter(character: str) -> bool:
    return "\u0400" <= character <= "\u04ff"


def _guesses(raw: bytes) -> list[str]:
    return [match.encoding for match in charset_normalizer.from_bytes(raw, cp_isolation=list(_GUESSES))]


def _not_text() -> InvalidInputError:
    return InvalidInputError("it is not text.", "Save it as plain text in UTF-8.")


def _undecided(raw: bytes) -> InvalidInputError:
    names = [_NAMES.get(name, name) for name in _guesses(raw)[:3]]
    looks = f"it looks like {' or '.join(names)}" if names else "it is not UTF-8"
    return InvalidInputError(f"its encoding cannot be determined; {looks}.", SAVE_AS_UTF8)
