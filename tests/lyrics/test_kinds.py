"""P7, P8 and section marks: lyrics of every player and every habit come out timed and under the model's marks."""

import pytest

from heartmula_studio.dataset.lyrics import is_timed, lyrics_between, plain_lyrics
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.lyrics.checking import MAX_LYRICS_CHARS, checked_lyrics
from heartmula_studio.lyrics.parsing import parse_lyrics, removed_lines


def timed(lyrics: str) -> list[tuple[float, str]]:
    return [(round(at, 3), line.text) for line in parse_lyrics(lyrics) for at in line.stamps_sec if line.text]


@pytest.mark.parametrize(
    "tag",
    [
        *(
            "[hash:0a1b2c]",
            "[sign:]",
            "[qq:]",
            "[total:215000]",
            "[kana:111]",
            "[lr:]",
            "[lang:zh]",
            "[encoding:utf-8]",
        ),
        *(
            "[duration:215]",
            "[source: 163]",
            "[ver:v1.0]",
            "[app:x]",
            "[language:eyJjb250ZW50Ijpb]",
            "[by:]",
            "[x_y: 1]",
        ),
    ],
)
def test_p7_metadata_of_players_is_no_section(tag):
    lyrics = f"{tag}\n[00:01.00]la\n[verse: both]\n[00:02.00]lo"
    assert plain_lyrics(lyrics) == "la\n[verse: both]\nlo"


CUES = "1\n00:00:10,000 --> 00:00:12,000\nla la\n\n2\n00:00:13,500 --> 00:01:00,000\n<i>lo</i>\nli 3\n"
VTT = (
    "WEBVTT - title\nKind: captions\n\nNOTE\nnobody sings this\n\nintro\n00:10.000 --> 00:12.000 align:start\nla la\n\n"
    "00:00:13.500 --> 00:00:15.000\n♪ lo ♪\nli 3"
)


@pytest.mark.parametrize("lyrics", [CUES, CUES.replace("\n", "\r\n"), VTT, "\ufeff" + CUES])
def test_p8_subtitles_are_timed_without_their_numbers(lyrics):
    assert timed(lyrics) == [(10.0, "la la"), (13.5, "lo"), (13.5, "li 3")]
    assert plain_lyrics(lyrics) == "la la\nlo\nli 3"


@pytest.mark.parametrize(
    ("lyrics", "expected"),
    [
        ("[00:10.000 --> 00:12.000]  la", [(10.0, "la")]),
        ("[01:00:10.000 --> 01:00:12.000] la", [(3610.0, "la")]),
        ("[00:01:12.34]la", [(72.34, "la")]),
        ("[00:01:12.34]la\n[00:01:15]lo", [(72.34, "la"), (75.0, "lo")]),
        ("[00:00:05]a\n[00:00:09]b\n[00:00:12]c\n[00:01:02]d", [(5.0, "a"), (9.0, "b"), (12.0, "c"), (62.0, "d")]),
        ("[00:12:50]la", [(12.5, "la")]),
        ("[00:12:50]a\n[00:15:07]b\n[01:02:03]c", [(12.5, "a"), (15.07, "b"), (62.03, "c")]),
        ("[01:02:75]la", [(62.75, "la")]),
        ("[10000,3000](10000,500,0)Hel(10500,500,0)lo", [(10.0, "Hello")]),
        ("[10000,3000]Hel(10000,500)lo (10500,500)you(11000,200)", [(10.0, "Hello you")]),
        ("[10000,3000]<0,500,0>Hel<500,500,0>lo", [(10.0, "Hello")]),
        ("[00:01.00]<0,500,0>la", [(1.0, "la")]),
        ("[-00:01.00]la", [(0.0, "la")]),
        ("[offset:+500]\n[00:10.00]la", [(9.5, "la")]),
        ("[offset:+500]\n[10000,3000]la(10000,500)", [(9.5, "la")]),
        ("[75:10.00]la", [(4510.0, "la")]),
        ("[00:01.00][00:09.00]la", [(1.0, "la"), (9.0, "la")]),
        ("[00:01.00]\n[00:02.00]la", [(2.0, "la")]),
    ],
)
def test_p8_stamps_of_every_kind(lyrics, expected):
    assert timed(lyrics) == expected
    assert checked_lyrics(lyrics) == lyrics
    assert plain_lyrics(lyrics) == "\n".join(text for _, text in sorted(expected))


def test_p8_a_stamp_that_may_be_hours_is_refused_and_never_read_as_hundredths():
    lyrics = "[01:02:03]la"
    with pytest.raises(InvalidInputError, match=r"\[01:02:03\]"):
        checked_lyrics(lyrics)
    assert not is_timed(lyrics)
    assert lyrics_between(lyrics, 0.0, 100.0, 100.0) == "la"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TTML", '<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"><body/></tt>'),
        ("TTML", '<tt xml:lang="en">'),
        ("web page", "<!DOCTYPE html><p>la"),
        ("SAMI", "<SAMI><BODY>"),
        ("RTF", "{\\rtf1\\ansi la}"),
        ("SubStation", "[Script Info]\nTitle: la"),
        ("encrypted QRC", "0123456789ABCDEF" * 8),
        ("JSON", '{"lrc": {"lyric": "la"}}'),
        ("JSON", '[{"startTimeMs": "10", "words": "la"}]'),
    ],
)
def test_p8_what_is_not_read_is_refused_by_name(kind, text):
    with pytest.raises(InvalidInputError, match=kind) as caught:
        checked_lyrics(text)
    assert caught.value.hint
    with pytest.raises(InvalidInputError, match=kind):
        SongRequest("pop", text)


@pytest.mark.parametrize(
    ("line", "mark"),
    [
        *[(line, "[chorus]") for line in ("Chorus:", "CHORUS :", "(Chorus)", "<chorus>", "{chorus}", "**Chorus**")],
        *[
            (line, "[chorus]")
            for line in ("[Chorus x2]", "(Chorus x2)", "Chorus (x2)", "Chorus 2x", "## Chorus", "Chorus")
        ],
        *[(line, "[chorus]") for line in ("**Chorus:**", "--- Chorus ---", "[CHORUS ×3]", "**(Chorus)**", "Chorus：")],
        *[
            ("Verse 2", "[verse 2]"),
            ("verse 2:", "[verse 2]"),
            ("<verse>", "[verse]"),
            ("(Pre-Chorus)", "[pre-chorus]"),
        ],
        *[("Intro", "[intro]"), ("Guitar Solo:", "[guitar solo]"), ("**[Bridge]**", "[Bridge]"), ("(Hook)", "[hook]")],
        *[("[Verse 1: both]", "[Verse 1: both]"), ("[Chorus]", "[Chorus]"), ("[solo]", "[solo]")],
    ],
)
def test_section_marks_of_every_habit(line, mark):
    assert plain_lyrics(f"{line}\nla") == f"{mark}\nla"
    assert plain_lyrics(f"[00:01.00]{line}\n[00:02.00]la") == f"{mark}\nla"
    assert parse_lyrics(f"{line}\nla")[0].section == mark


@pytest.mark.parametrize(
    "line",
    [
        *(
            "Bridge over troubled water",
            "(oh yeah)",
            "Verse of my heart",
            "Chorus of angels",
            "Solo",
            "Break",
            "Drop it",
        ),
        *(
            "Intro to love",
            "The chorus:",
            "(oh, the bridge)",
            "Chorus: we sing",
            "Hook me up",
            "*la*",
            "End",
            "Choruses",
        ),
        *("Rap", "x2", "(x2)", "1999", "Break my heart again", "Drop"),
    ],
)
def test_words_that_are_sung_are_no_section_marks(line):
    assert plain_lyrics(f"{line}\nla") == f"{line}\nla"


CREDITS = [
    *(
        "作词 : 林夕",
        "作曲：陈辉阳",
        "编曲 : A/B",
        "制作人 : 王五",
        "词曲：阿信",
        "作词 Lyrics：方文山",
        "作詞・作曲 : あいみょん",
    ),
    *("和声编写 : 刘", "弦乐录音室：X", "母带后期处理工程师 Mastering：Y", "制作助理 : 王"),
    *("OP：华纳", "混音 Mixing Engineer : X", "Lyrics by: Jane", "Written by: A, B", "Produced by : C", "Mixed by: D"),
    *('{"t":0,"c":[{"tx":"作词: "},{"tx":"林夕"}]}', "You might also like", "123Embed", "Embed", "纯音乐，请欣赏"),
]


@pytest.mark.parametrize("line", CREDITS)
@pytest.mark.parametrize("stamp", ["", "[00:00.00]"])
def test_p9_credits_and_notices_are_taken_out_visibly(line, stamp):
    lyrics = f"{stamp}{line}\n[00:10.00]la\n{stamp}{line}"
    assert plain_lyrics(lyrics) == "la"
    assert removed_lines(lyrics) == (line, line)


def test_p9_what_a_web_page_glues_to_the_words_is_cut_off():
    lyrics = "12 ContributorsMy Song Lyrics[Verse]\nla\nYou might also like[Chorus]\nlove you 2\nI love you123Embed"
    assert plain_lyrics(lyrics) == "[Verse]\nla\n[Chorus]\nlove you 2\nI love you"
    assert removed_lines(lyrics) == ("12 ContributorsMy Song Lyrics", "You might also like", "123Embed")


@pytest.mark.parametrize(
    "line",
    [
        *("She said: come home", "我说：你好", "Embed me in your heart", "Time: 12 o'clock"),
        *("You might also like me", "曲终人散：再见", "Remember: la", '{"t": is a tee}'),
    ],
)
def test_sung_lines_with_a_colon_stay(line):
    assert plain_lyrics(line) == line
    assert removed_lines(line) == ()


def test_one_limit_and_one_cleaning_for_all_lyrics():
    assert checked_lyrics("\ufeff[verse]\r\nla\tla\r\n\n\x07\ud800end\r") == "[verse]\nla la\n\nend\n"
    for check in (checked_lyrics, lambda text: SongRequest("pop", text)):
        check("x" * MAX_LYRICS_CHARS)
        with pytest.raises(InvalidInputError, match="100,000"):
            check("x" * (MAX_LYRICS_CHARS + 1))
