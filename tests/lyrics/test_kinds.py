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


SBV = "0:00:10.000,0:00:12.000\nla la\n\n0:00:13.500,0:01:00.000\nlo\nli 3\n"


@pytest.mark.parametrize("lyrics", [CUES, CUES.replace("\n", "\r\n"), VTT, "\ufeff" + CUES, SBV])
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
        ("[00:01.00]<00:01.00>wo <00:01.50>rd<00:02.00>", [(1.0, "wo rd")]),
        ("[00:01.00]F: la\n[00:02.00]v2: lo", [(1.0, "la"), (2.0, "lo")]),
        ("00:01.20 la\n00:03.40 lo", [(1.2, "la"), (3.4, "lo")]),
        ("(00:01.20) - la\n00:03.40\tlo", [(1.2, "la"), (3.4, "lo")]),
        ("1:02:03.5 la", [(3723.5, "la")]),
        ("00:01.20 --> 00:03.00 la", [(1.2, "la")]),
        ("0:01 la\n0:15 lo", [(1.0, "la"), (15.0, "lo")]),
        ("0:01\nla\n0:15\nlo", [(1.0, "la"), (15.0, "lo")]),
        ("1.200000\t3.400000\tla\n3.400000\t5.000000\tlo", [(1.2, "la"), (3.4, "lo")]),
    ],
)
def test_p8_stamps_of_every_kind(lyrics, expected):
    assert timed(lyrics) == expected
    assert checked_lyrics(lyrics) == lyrics.replace("\t", " ")
    assert plain_lyrics(lyrics) == "\n".join(text for _, text in sorted(expected))


@pytest.mark.parametrize("lyrics", ["5:15 I'm out of my brain\nla", "la\n3:16\nlo\nli", "0:15 lo\n0:01 la", "24.5 la"])
def test_p8_hours_that_are_sung_are_no_stamps(lyrics):
    assert plain_lyrics(lyrics) == lyrics
    assert not is_timed(lyrics)


def test_p8_a_stamp_that_may_be_hours_is_refused_and_never_read_as_hundredths():
    lyrics = "[01:02:03]la"
    with pytest.raises(InvalidInputError, match=r"\[01:02:03\]"):
        checked_lyrics(lyrics)
    assert not is_timed(lyrics)
    assert lyrics_between(lyrics, 0.0, 100.0, 100.0) == "la"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("web page", "<!DOCTYPE html><p>la"),
        ("SAMI", "<SAMI><BODY>"),
        ("RTF", "{\\rtf1\\ansi la}"),
        ("SubStation", "[Script Info]\nTitle: la"),
        ("SubStation", "; made by hand\n[V4+ Styles]\nFormat: Name"),
        ("SubStation", "Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,la la"),
        ("UltraStar", "#TITLE:la\n#BPM:240\n: 0 4 60 la\n- 10\nE"),
        ("UltraStar", ": 0 4 60 la\n* 4 4 -2 lo\n"),
        ("MicroDVD", "{100}{200}la"),
        ("MPL2", "[10][30]la"),
        ("SubViewer", "[INFORMATION]\n[TITLE]la"),
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
            ("Verse Two:", "[verse 2]"),
            ("[Verse]:", "[Verse]"),
            ("verse 2:", "[verse 2]"),
            ("<verse>", "[verse]"),
            ("(Pre-Chorus)", "[pre-chorus]"),
        ],
        *[("Intro", "[intro]"), ("Guitar Solo:", "[guitar solo]"), ("**[Bridge]**", "[Bridge]"), ("(Hook)", "[hook]")],
        *[("2nd Verse", "[verse 2]"), ("Third chorus:", "[chorus 3]"), ("[1st Verse]", "[Verse 1]")],
        *[("(Second Pre-Chorus)", "[pre-chorus 2]"), ("**First Verse**", "[verse 1]"), ("[2nd verse x2]", "[verse 2]")],
        *[("[Verse 1: both]", "[Verse 1: both]"), ("[Chorus]", "[Chorus]"), ("[solo]", "[solo]")],
        *[
            (line, "[chorus]")
            for line in ("【副歌】", "[副歌]", "（副歌）", "副歌：", "副歌", "【サビ】", "[후렴]", "Припев:")
        ],
        *[("主歌1", "[verse 1]"), ("【主歌一】", "[verse 1]"), ("[Aメロ]", "[verse]"), ("［间奏］", "[interlude]")],
        *[
            ("［Chorus］", "[Chorus]"),
            ("〔Verse 2〕", "[Verse 2]"),
            ("【合】", "[合]"),
            ("Estribillo:", "[chorus]"),
            ("Припев:", "[chorus]"),
        ],
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
            "Second verse same as the first",
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
        *("Rap", "x2", "(x2)", "1999", "Break my heart again", "Drop", "Coro", "独白", "我们的副歌", "ラップ", "Pont"),
    ],
)
def test_words_that_are_sung_are_no_section_marks(line):
    assert plain_lyrics(f"{line}\nla") == f"{line}\nla"


@pytest.mark.parametrize(
    ("lyrics", "plain"),
    [
        ("[verse]hello\nla", "[verse]\nhello\nla"),
        ("[Verse 1: A & B] hello [Chorus x2]\nla", "[Verse 1: A & B]\nhello\n[chorus]\nla"),
        ("[00:01.00][chorus]la\n[00:02.00]lo", "[chorus]\nla\nlo"),
        ("【副歌】la", "[chorus]\nla"),
        ("[2nd Verse]la", "[Verse 2]\nla"),
        ("la\n[oh]la", "la\n[oh]la"),
    ],
)
def test_a_mark_and_words_on_one_line_are_two(lyrics, plain):
    assert plain_lyrics(lyrics) == plain
    assert removed_lines(lyrics) == ()
    for line in parse_lyrics(lyrics):
        assert bool(line.stamps_sec) == is_timed(lyrics)


@pytest.mark.parametrize("lyrics", ["My Song[verse]\nla", "My Song [Verse]la"])
def test_a_title_glued_to_the_first_mark_is_taken_out_visibly(lyrics):
    assert plain_lyrics(lyrics).lower() == "[verse]\nla"
    assert removed_lines(lyrics) == ("My Song",)


CHORDPRO = """{title: Song}
{artist: Me}
# nobody sings this
{start_of_verse: Verse 1}
[C]La la [G7/B]lo
Hal[F#m7b5]le[Bbmaj7]lu
{end_of_verse}
{soc}
[Am]Ho
{eoc}
{sot}
e|--0--|
{eot}
{c: Bridge}
{comment: softly}
li
{chorus}
"""


@pytest.mark.parametrize(
    ("sheet", "plain"),
    [
        (CHORDPRO, "[verse 1]\nLa la lo\nHallelu\n[chorus]\nHo\n[bridge]\nli\n[chorus]"),
        ("[C]la [Am]lo\n[G]\nli", "la lo\nli"),
        ("[00:01.00][C]la\n[00:02.00][G]lo", "la\nlo"),
        ("[Verse]\nG      Em7 C\nla la la\nD\nlo\n| C  D/F# |", "[Verse]\nla la la\nlo"),
        ("e|--0--2--|\nB|--1--3--|\nla", "la"),
        ("[A]\nla\n[B]\nlo", "[A]\nla\n[B]\nlo"),
        ("A B C\nD E F G\nAm I\n{oh yeah}\nHm Hm", "A B C\nD E F G\nAm I\n{oh yeah}\nHm Hm"),
    ],
)
def test_chords_are_not_sung(sheet, plain):
    assert plain_lyrics(sheet) == plain


@pytest.mark.parametrize(
    "attachment", ["[tr]hello", "[tr:zh-Hans]你好", "[tt]<0,0><500,1>", "[fu]<a,0,1>", "[ro]ni hao"]
)
def test_translations_and_word_times_of_lrcx_are_not_sung(attachment):
    lyrics = f"[00:01.00]la\n[00:01.00]{attachment}\n[00:02.00]lo"
    assert plain_lyrics(lyrics) == "la\nlo"
    assert removed_lines(lyrics) == (attachment,)


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
    *("Produced by Jane Doe & John Roe", "Written and Produced by Jane", "Lyrics licensed by LyricFind", "www.x.com/y"),
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
        *("Music by the river", "Produced by love", "Written by Hand", "Mixed by the sea"),
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
