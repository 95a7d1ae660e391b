"""How much there is to sing in lyrics, and about how long that takes; what a song may be built of."""

import math
import re
import unicodedata
from dataclasses import dataclass

from heartmula_studio.lyrics.parsing import parse_lyrics

BEAT_SEC = 60 / 110  # a middling tempo
LINE_SEC = 8 * BEAT_SEC  # two bars of four beats
SYLLABLE_SEC = BEAT_SEC / 2  # of a line with more of them than fit into two bars
WORDLESS_SEC = 16 * BEAT_SEC  # of a section in which nothing is sung
ENDING_SEC = 4.0  # behind the last line

STRUCTURES = {
    "Verses and choruses": ("Verse", "Chorus", "Verse", "Chorus"),
    "With a bridge": ("Intro", "Verse", "Chorus", "Verse", "Chorus", "Bridge", "Chorus", "Outro"),
    "With pre-choruses": ("Verse", "Pre-Chorus", "Chorus", "Verse", "Pre-Chorus", "Chorus", "Outro"),
    "Verses alone": ("Intro", "Verse", "Verse", "Verse", "Outro"),
    "Instrumental": ("Intro", "Instrumental", "Bridge", "Instrumental", "Outro"),
}

_VOWELS = re.compile("[aeiouyæœøıαεηιουωаеиоуыэюяіє]+")
_ONE_EACH = re.compile("[\u3042\u3044\u3046\u3048\u304a-\u3082\u3084\u3086\u3088-\u3093\u30a2\u30a4\u30a6"
                       "\u30a8\u30aa-\u30e2\u30e4\u30e6\u30e8-\u30f3\u4e00-\u9fff\uac00-\ud7a3]")  # fmt: skip
"""Kana but the small vowels, Han characters and Hangul syllables."""
_SILENT_E = re.compile("[a-z]{2,}[^l]e")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Singing:
    """Lines and syllables that are sung, and about how long the song lasts with them; 0 without lyrics."""

    num_lines: int
    num_syllables: int
    duration_sec: float


def measure_singing(lyrics: str) -> Singing:
    """Count what is sung, and estimate how long it takes at 110 beats a minute, two bars for a line.

    Lyrics with times last as long as these say.
    """
    lines = parse_lyrics(lyrics)
    counts = [(count_syllables(line.text), max(len(line.stamps_sec), 1)) for line in lines if line.text]
    stamps_sec = [stamp for line in lines for stamp in line.stamps_sec]
    wordless = sum(not line.text for line in lines)
    sung_sec = sum(times * max(LINE_SEC, SYLLABLE_SEC * syllables) for syllables, times in counts)
    length_sec = max(stamps_sec) + LINE_SEC if stamps_sec else sung_sec + WORDLESS_SEC * wordless
    return Singing(
        sum(times for _, times in counts),
        sum(syllables * times for syllables, times in counts),
        length_sec + ENDING_SEC if lines else 0.0,
    )


def count_syllables(line: str) -> int:
    """Count the groups of vowels of each word, but for the silent e of English, and characters that are syllables."""
    return sum(_in_word(word) for word in _WORD.findall(line))


def proposed_sec(lyrics: str, longest_sec: int) -> int | None:
    """Return a length in whole seconds for a song with these lyrics, None without any."""
    singing = measure_singing(lyrics)
    return min(math.ceil(singing.duration_sec), longest_sec) if singing.duration_sec else None


def marks_of(structure: str) -> str:
    """Return the section marks of one of `STRUCTURES`, with room for lines behind each."""
    return "\n\n".join(f"[{section}]" for section in STRUCTURES[structure]) + "\n"


def _in_word(word: str) -> int:
    if one_each := len(_ONE_EACH.findall(word)):
        return one_each
    letters = "".join(unicodedata.normalize("NFD", letter)[0] for letter in word.casefold() if letter != "й")
    groups = len(_VOWELS.findall(letters))
    is_silent = groups > 1 and _SILENT_E.fullmatch(letters) is not None
    return max(groups - is_silent, 1)
