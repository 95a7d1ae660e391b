"""How much there is to sing, and how long that takes."""

import pytest

from heartmula_studio.lyrics.parsing import parse_lyrics
from heartmula_studio.lyrics.singing import STRUCTURES, count_syllables, marks_of, measure_singing, proposed_sec


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("The sun creeps in across the floor", 8),
        ("little table", 4),
        ("Überraschung", 4),
        ("Żółw", 1),
        ("рай мой", 2),
        ("愛してる", 4),
        ("사랑해", 3),
        ("hmm, 12 !", 1),
        ("", 0),
    ],
)
def test_syllables_are_counted(line, count):
    assert count_syllables(line) == count


def test_lines_take_two_bars_and_sections_without_words_four():
    short = measure_singing("[Verse]\nla la\nla la")
    assert (short.num_lines, short.num_syllables) == (2, 4)
    assert short.duration_sec == pytest.approx(2 * 8 * 60 / 110 + 4)
    longer = measure_singing(f"[Verse]\nla la\n{'la ' * 32}\n\n[Solo]\n\n[Outro]\nla")
    assert longer.duration_sec == pytest.approx((8 + 16 + 16 + 8) * 60 / 110 + 4)


def test_times_say_how_long_a_song_is():
    assert 60 < measure_singing("[00:10.00]la\n[00:20.00][01:00.00]la la").duration_sec < 70
    assert measure_singing("[00:10.00]la\n[00:20.00][01:00.00]la la").num_lines == 3


def test_a_length_is_proposed_where_there_are_lyrics():
    assert proposed_sec("[Verse]\nla la\nla la", 600) == 13
    assert proposed_sec("la\n" * 1000, 600) == 600
    assert proposed_sec("", 600) is None


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_are_sections_that_are_known(structure):
    sections = [line.section for line in parse_lyrics(marks_of(structure).replace("]\n", "]\nla\n"))]
    assert sections == [f"[{name}]" for name in STRUCTURES[structure]]
