"""Pages of a dataset's tracks: what is found, in which order, and where the next page begins."""

from dataclasses import replace

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.store.records import AudioFile, Dataset, Proposal
from heartmula_studio.store.track_pages import TrackFilter, found_tracks, page_of

NOW = "2026-11-30T12:00:00+00:00"


def track(name: str, caption: str = "la", tags: tuple[str, ...] = ("pop",), **details) -> AudioFile:
    values = {"rights": "own", "duration_sec": 1.0, **details}
    return AudioFile(name, caption, tags, sample_rate=1, channels=1, size_bytes=1, sha256="", added_at=NOW, **values)


PROPOSED = Proposal(1, "tag", "live", 0.5, "ear")
TRACKS = (
    track("Song 10.mp3", "Under the bridge", duration_sec=3.0),
    track("song 9.mp3", " ", ("Rock", "live"), duration_sec=1.0),
    track("Ärger.mp3", "bridge", (), rights="unknown", duration_sec=2.0),
    track("b.mp3", error="It is silent.", proposals=(PROPOSED,)),
    track("c.mp3", proposals=(replace(PROPOSED, status="accepted"),)),
)
DATASET = Dataset("id", "Nights", (), NOW, audio_files=TRACKS)


def names(tracks) -> str:
    return " ".join(track.filename.removesuffix(".mp3").removeprefix("Song ").removeprefix("song ") for track in tracks)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "10 9 Ärger b c"),
        ({"text": "BRIDGE"}, "10 Ärger"),
        ({"text": "bridge under"}, "10"),
        ({"text": "rock song"}, "9"),
        ({"text": "nothing such"}, ""),
        ({"kind": "words"}, "9"),
        ({"kind": "tags"}, "Ärger"),
        ({"kind": "rights"}, "Ärger"),
        ({"kind": "proposals"}, "b"),
        ({"kind": "errors"}, "b"),
        ({"order": "name"}, "b c 9 10 Ärger"),
        ({"order": "name", "is_reversed": True}, "Ärger 10 9 c b"),
        ({"order": "length"}, "9 b c Ärger 10"),
        ({"order": "tags"}, "Ärger 10 b c 9"),
        ({"order": "rights"}, "10 9 b c Ärger"),
        ({"order": "lyrics", "text": "mp3"}, "9 Ärger b c 10"),
        ({"is_reversed": True}, "c b Ärger 9 10"),
    ],
)
def test_what_is_looked_for_is_found_in_the_order_that_is_asked_for(wanted, found):
    assert names(found_tracks(DATASET, TrackFilter(**wanted))) == found


@pytest.mark.parametrize("wanted", [{"kind": "loud"}, {"order": "mood"}])
def test_another_filter_is_refused(wanted):
    with pytest.raises(InvalidInputError, match="none of these"):
        TrackFilter(**wanted)


def test_pages_follow_each_other():
    pages, cursor = [], ""
    while not pages or cursor:
        page = page_of(TRACKS, 2, cursor)
        pages.append((page.start, names(page.tracks), page.num_found))
        cursor = page.cursor
    assert pages == [(0, "10 9", 5), (2, "Ärger b", 5), (4, "c", 5)]
    assert page_of(TRACKS, 5, "").cursor == ""


def test_a_page_goes_on_behind_the_same_track_when_others_come_or_go():
    cursor = page_of(TRACKS, 3, "").cursor
    assert names(page_of(TRACKS[1:], 3, cursor).tracks) == "b c"
    assert names(page_of((track("new.mp3"), *TRACKS), 3, cursor).tracks) == "b c"
    assert names(page_of((*TRACKS[:2], *TRACKS[3:]), 3, cursor).tracks) == "c"
    assert page_of(TRACKS[:1], 3, cursor).tracks == ()


@pytest.mark.parametrize("cursor", ["3", "~", "-1~x", "x~y", "1" * 30 + "~x", "٣~x"])
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(InvalidInputError, match="not a cursor"):
        page_of(TRACKS, 2, cursor)
