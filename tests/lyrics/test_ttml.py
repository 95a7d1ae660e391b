"""Timed Text Markup, as streaming services and subtitle editors write it, comes out as lines with their times."""

import pytest

from heartmula_studio.dataset.lyrics import plain_lyrics
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.lyrics.decoding import read_lyrics

SPACES = 'xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata"'
BY_WORDS = f"""<?xml version="1.0" encoding="UTF-8"?>
<tt {SPACES} xmlns:itunes="http://music.apple.com/lyric-ttml-internal" itunes:timing="Word" xml:lang="en">
<head><metadata><ttm:agent type="person" xml:id="v1"/></metadata></head>
<body dur="1:02.000"><div begin="9.731" end="14.0" itunes:song-part="Verse">
<p begin="9.731" end="11" ttm:agent="v1"><span begin="9.731">Ne</span><span begin="9.9">on</span> <span>on</span></p>
<p begin="12.5"><span begin="12.5">Drive</span> <span ttm:role="x-bg"><span>(all</span> <span>night)</span></span
><span ttm:role="x-translation" xml:lang="de">Fahr</span></p>
</div><div begin="1:00.000" itunes:songPart="Chorus"><p begin="1:00.000">Home &amp; dry</p></div></body></tt>"""


def lines(*paragraphs: str, body: str = "", tt: str = "") -> str:
    inside = "\n".join(paragraphs)
    return checked_lyrics(f"<tt {SPACES} {tt}><body><div {body}>{inside}</div></body></tt>")


def test_lines_of_words_have_their_own_times_and_parts_of_a_song_their_marks():
    expected = [
        "[verse]", "[00:09.731]Neon on", "[00:12.500]Drive (all night)", "[chorus]", "[01:00.000]Home & dry",
    ]  # fmt: skip
    assert checked_lyrics(BY_WORDS).split("\n") == expected
    assert plain_lyrics(checked_lyrics(BY_WORDS)) == "[verse]\nNeon on\nDrive (all night)\n[chorus]\nHome & dry"
    assert SongRequest("pop", BY_WORDS).lyrics == checked_lyrics(BY_WORDS)


@pytest.mark.parametrize(
    ("begin", "stamp"),
    [
        *(("00:00:10.500", "[00:10.500]"), ("01:00:10", "[60:10.000]"), ("75.25", "[01:15.250]")),
        *(("10.5s", "[00:10.500]"), ("500ms", "[00:00.500]"), ("2m", "[02:00.000]"), ("1h", "[60:00.000]")),
        *(("00:00:10:15", "[00:10.600]"), ("50f", "[00:02.000]"), ("20000t", "[00:02.000]"), ("soon", "")),
    ],
)
def test_times_of_every_kind(begin, stamp):
    rates = 'xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25" ttp:tickRate="10000"'
    assert lines(f'<p begin="{begin}">la</p>', tt=rates) == f"{stamp}la"


def test_times_count_from_the_section_where_they_cannot_count_from_the_beginning():
    within = lines('<p begin="1s">la</p>', '<p begin="3s">lo</p>', body='begin="10s"')
    assert within == "[00:11.000]la\n[00:13.000]lo"


def test_a_line_may_break_and_may_have_no_time():
    assert lines('<p begin="1s">la<br/>lo\n  li</p>', "<p>end</p>") == "[00:01.000]la\n[00:01.000]lo li\nend"


def test_a_prefix_and_another_encoding_are_read(tmp_path):
    text = (
        '<?xml version="1.0" encoding="UTF-16"?><t:tt xmlns:t="urn:x"><t:body><t:p begin="1s">äö</t:p></t:body></t:tt>'
    )
    (tmp_path / "song.ttml").write_text(text, encoding="utf-16")
    assert read_lyrics(tmp_path / "song.ttml") == "[00:01.000]äö"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<tt xml:lang="en"><body><p>la', "damaged TTML"),
        ('<?xml version="1.0"?><tt><body>&nbsp;</body></tt>', "damaged TTML"),
        ("<tt><body><div/></body></tt>", "without any lines"),
        ("<tt>la</tt>", "without any lines"),
        ("<tt ><!DOCTYPE a [<!ENTITY b 'c'>]><body/></tt>", "a document type"),
        ("<tt>" + "<div>" * 5000, "damaged TTML"),
        ("<tt><body><p>" + "<span>" * 5000 + "</span>" * 5000 + "</p></body></tt>", "damaged TTML"),
    ],
)
def test_what_is_not_whole_or_may_stand_for_anything_is_refused(text, says):
    with pytest.raises(InvalidInputError, match=says):
        checked_lyrics(text)
