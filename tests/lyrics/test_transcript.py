"""Transcribed words become lines of LRC, and known lyrics get the times at which their words were heard."""

import random

import pytest

from heartmula_studio.dataset.lyrics import lyrics_between
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.alignment import align
from heartmula_studio.lyrics.parsing import parse_lyrics
from heartmula_studio.lyrics.transcript import TimedLyrics, TimedWord, as_lyrics

LINES = (
    "Neon on the water",
    "Drive all night until the morning comes",
    "Nobody knows the road back home",
    "Oh, oh, carry me over",
    "Drive all night, drive all night",
    "Silver rain on empty streets",
)
TEXT = f"[verse]\n{LINES[0]}\n{LINES[1]}\n\n[chorus]\n{LINES[2]}\n{LINES[3]}\n{LINES[4]}\n{LINES[5]}"


def words(text: str, start_sec: float, sec: float = 0.4, confidence: float = 0.9) -> list[TimedWord]:
    """The words of a line, one after the other."""
    return [
        TimedWord(f" {word}", start_sec + i * sec, start_sec + (i + 1) * sec, confidence)
        for i, word in enumerate(text.split())
    ]


def sung(lines: tuple[str, ...] = LINES, every_sec: float = 10.0) -> list[TimedWord]:
    return [word for number, line in enumerate(lines) for word in words(line, number * every_sec + 2)]


def times(lyrics: TimedLyrics) -> list[float | None]:
    return [line.stamps_sec[0] if line.stamps_sec else None for line in parse_lyrics(lyrics.text) if line.text]


# --- lines of what was heard -----------------------------------------------------------------------------------------


def test_a_segment_is_a_line_with_the_time_of_its_first_word_and_its_mean_confidence():
    segment = [TimedWord(" Hello", 61.5, 62, 0.9), TimedWord(" world,", 62, 62.5, 0.5), TimedWord("!", 62.5, 63, 0.4)]
    assert as_lyrics([segment]) == TimedLyrics("[01:01.500]Hello world,!", (0.6,))
    assert as_lyrics([segment, segment]).confidence == pytest.approx(0.6)
    assert as_lyrics([]) == TimedLyrics("", ())
    assert as_lyrics([[]]).confidence == 0


@pytest.mark.parametrize("text", ["(upbeat music)", "[Applause]", "*coughs*", "♪♪", "...", ""])
def test_what_are_no_words_is_left_out(text):
    assert as_lyrics([[TimedWord(text, 0, 1, 0.9)], words("la la", 2)]).text == "[00:02.000]la la"


def test_notes_around_words_go():
    segment = [TimedWord("♪", 0, 1, 1), TimedWord(" La", 1, 2, 1), TimedWord(" ♪", 2, 3, 1)]
    assert as_lyrics([segment]).text == "[00:00.000]La"


def test_a_segment_is_cut_at_pauses_line_breaks_and_where_it_gets_long():
    paused = [*words("one two", 0), *words("three", 3)]
    assert as_lyrics([paused]).text == "[00:00.000]one two\n[00:03.000]three"
    broken = [TimedWord(" one\n", 0, 1, 1), TimedWord(" two", 1, 2, 1), TimedWord("\nthree", 2, 3, 1)]
    assert len(as_lyrics([broken]).line_confidences) == 3
    long = words("somebody sings of the river and the sea, and nobody listens to what he sings", 0, 0.1)
    first, second = as_lyrics([long]).text.split("\n")
    assert first.endswith("the sea,")
    assert second.endswith("he sings")
    assert [len(line) for line in as_lyrics([words("a " * 100, 0, 0.1)]).text.split("\n")][:2] == [11 + 79, 11 + 79]


def test_words_without_spaces_stay_together():
    line = [TimedWord(character, number / 2, number / 2 + 0.5, 1) for number, character in enumerate("夜空に")]
    assert as_lyrics([line]).text == "[00:00.000]夜空に"


# --- lines that are known --------------------------------------------------------------------------------------------


def test_each_line_gets_the_time_at_which_it_is_sung_and_the_text_stays():
    aligned = align(TEXT, sung())
    assert times(aligned) == [2, 12, 22, 32, 42, 52]
    assert [line.partition("]")[2] or line for line in aligned.text.split("\n") if not line.startswith("[")] == [""]
    assert aligned.text.split("\n")[0] == "[verse]"
    assert len(aligned.line_confidences) == len(TEXT.split("\n"))
    assert [one for one in aligned.line_confidences if one is not None] == [0.9] * 6
    for number, line in enumerate(LINES):
        assert line in lyrics_between(aligned.text, 10 * number, 10 * number + 10, 60)


def test_what_was_misheard_left_out_or_sung_besides_moves_no_line():
    draw = random.Random(1)
    heard = [word for word in sung() if draw.random() > 0.25]
    for i in range(1, len(heard), 6):
        heard[i] = TimedWord(heard[i].text[:-1] + "k", heard[i].start_sec, heard[i].end_sec, 0.5)
    heard += words("yeah yeah come on", 8.5) + words("whoa the", 49)
    aligned = align(TEXT, sorted(heard, key=lambda word: word.start_sec))
    found = [(time, 10 * number + 2) for number, time in enumerate(times(aligned)) if time is not None]
    assert len(found) >= 5
    assert max(abs(time - true) for time, true in found) < 1.3


def test_a_chorus_that_comes_again_is_timed_each_time_it_is_written():
    lines = (LINES[0], LINES[4], LINES[2], LINES[4], LINES[5], LINES[4])
    assert times(align("\n".join(lines), sung(lines))) == [2, 12, 22, 32, 42, 52]


def test_a_line_that_is_not_heard_gets_no_time_and_its_window_is_that_between_its_neighbours():
    heard = [word for word in sung() if not 20 <= word.start_sec < 30]
    aligned = align(TEXT, heard)
    assert times(aligned) == [2, 12, None, 32, 42, 52]
    assert LINES[2] in lyrics_between(aligned.text, 12.5, 32, 60)
    assert 0.0 in aligned.line_confidences
    assert times(align(TEXT, [])) == [None] * 6


def test_a_stray_word_far_away_does_not_move_a_line():
    heard = [TimedWord(" Nobody", 13.9, 14, 0.9), *words("knows the road back home", 22)]
    assert times(align(LINES[2], heard)) == [pytest.approx(22 - 0.3)]
    assert times(align("the end of the world", words("the", 3))) == [None]


def test_the_beginning_of_a_line_is_estimated_where_its_first_words_were_not_heard():
    assert times(align(LINES[1], words("until the morning comes", 20))) == [pytest.approx(20 - 3 * 0.3)]


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("Don’t stop", "dont stop"),
        ("Déjà vu", "deja vu"),
        ("夜空に星が", "夜空に 星が"),
        ("ÜBER ALLEM", "uber allem"),
        ("Night-time lovers", "night time lovers"),
        ("사랑해 너를", "사랑해 너를"),
    ],
)
def test_words_are_compared_without_case_accents_and_marks(written, heard):
    aligned = align(written, words(heard, 4))
    assert (times(aligned), aligned.line_confidences) == ([4], (0.9,))


@pytest.mark.parametrize(
    "text",
    [
        "[C]Neon on the [G]water\n[Am]Drive all night until the [F]morning comes",
        "Neon on the water\n\n\nDrive all night until the morning comes\n",
        "Title of it[verse]Neon on the water\n[chorus]Drive all night until the morning comes",
        "Lyrics by: Somebody\nNeon on the water\nDrive all night until the morning comes12Embed",
    ],
)
def test_a_text_of_any_kind_keeps_its_words(text):
    aligned = align(text, sung())
    assert [line.text for line in parse_lyrics(aligned.text) if line.text] == [
        line.text for line in parse_lyrics(text) if line.text
    ]
    assert times(aligned) == [2, 12]
    assert len(aligned.line_confidences) == len(aligned.text.split("\n"))


def test_times_never_go_back():
    draw = random.Random(2)
    heard = sorted(
        (TimedWord(word.text, word.start_sec + draw.uniform(-4, 4), word.end_sec + 4, 0.8) for word in sung()),
        key=lambda word: word.start_sec,
    )
    found = [time for time in times(align(TEXT, heard)) if time is not None]
    assert found == sorted(found)


def test_absurdly_many_words_are_refused():
    with pytest.raises(InvalidInputError, match="10,000 words"):
        align("la " * 10_000, words("la " * 10_000, 0, 0.01))
