"""What programs propose: nothing counts until it is accepted, and everything can be undone."""

from dataclasses import replace

import pytest

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.store.names import MAX_TAGS
from heartmula_studio.store.proposals import Finding, with_all_decided, with_decision, with_findings
from heartmula_studio.store.records import AudioFile, Dataset, utc_now

TEMPO, KEY = Finding("tempo", "120 bpm", 0.9), Finding("key", "a minor", 0.5)
STYLES = ("techno",)


@pytest.fixture
def song() -> AudioFile:
    return AudioFile("a.wav", "", (), "own", 60.0, 48_000, 2, 1000, "0" * 64, utc_now())


def proposed(song: AudioFile, *findings: Finding) -> AudioFile:
    return with_findings(song, "a program", findings or (TEMPO, KEY))


def shown(song: AudioFile) -> list[tuple]:
    return [(one.number, one.value, one.status) for one in song.proposals]


def test_a_proposal_changes_no_tags(song):
    assert proposed(song).tags == ()
    assert shown(proposed(song)) == [(1, "120 bpm", "open"), (2, "a minor", "open")]


@pytest.mark.parametrize("own", [(), ("slow",), ("Techno",)])
@pytest.mark.parametrize("undone", [(1, 2), (2, 1)])
def test_accepting_adds_to_the_tags_and_undoing_gives_them_back(song, own, undone):
    """A track without tags has those of its dataset, which it keeps, and goes on following when all is undone."""
    before = proposed(replace(song, tags=own))
    after = with_decision(with_decision(before, 1, "accepted", STYLES), 2, "accepted", STYLES)
    assert after.tags == (*(own or STYLES), "120 bpm", "a minor")
    for number in undone:
        after = with_decision(after, number, "open", STYLES)
    assert after == before


def test_what_a_person_typed_meanwhile_stays(song):
    accepted = with_decision(proposed(song), 1, "accepted", STYLES)
    edited = replace(accepted, tags=(*accepted.tags, "live"))
    assert with_decision(edited, 1, "rejected", STYLES).tags == ("techno", "live")
    typed = with_decision(proposed(replace(song, tags=())), 1, "open", ())
    typed = with_decision(replace(typed, tags=("120 BPM",)), 1, "accepted", ())
    assert typed.tags == ("120 BPM",)
    assert with_decision(typed, 1, "open", ()).tags == ("120 BPM",)


def test_what_was_decided_is_not_proposed_again(song):
    rejected = with_decision(proposed(song), 1, "rejected", STYLES)
    again = proposed(rejected, TEMPO, Finding("key", "c major", 0.6))
    assert shown(again) == [(1, "120 bpm", "rejected"), (3, "c major", "open")]
    assert shown(proposed(replace(song, tags=("A Minor",)))) == [(1, "120 bpm", "open")]
    assert len(with_findings(proposed(song), "another program", [Finding("tempo", "60 bpm", 0.1)]).proposals) == 3


def lyrics(value: str, replaces: str = "") -> Finding:
    return Finding("lyrics", value, 0.7, "en", (0.7,), replaces)


def test_lyrics_come_in_the_place_of_what_they_were_made_for_and_go_again(song):
    written = replace(song, caption="la")
    before = proposed(written, lyrics("[00:01.00]la", "la"), TEMPO)
    assert (before.caption, before.proposals[0].line_confidences, before.analyzed_by) == ("la", (0.7,), ("a program",))
    after = with_decision(with_decision(before, 2, "accepted", STYLES), 1, "accepted", STYLES)
    assert (after.caption, after.tags) == ("[00:01.00]la", ("techno", "120 bpm"))
    assert proposed(after, lyrics("[00:01.00]la", "[00:01.00]la")).proposals == after.proposals
    assert with_all_decided(after, "open", STYLES) == before
    edited = replace(after, caption="la la")
    assert with_decision(edited, 1, "rejected", STYLES).caption == "la la"


def test_words_that_somebody_has_written_are_never_overwritten(song):
    stale = replace(proposed(song, lyrics("lo"), TEMPO), caption="mine")
    with pytest.raises(ConflictError, match="no longer those"):
        with_decision(stale, 1, "accepted", STYLES)
    everything = with_all_decided(stale, "accepted", STYLES)
    assert everything.caption == "mine"
    assert [one.status for one in everything.proposals] == ["open", "accepted"]
    typed = with_decision(replace(stale, caption="lo"), 1, "accepted", STYLES)
    assert with_decision(typed, 1, "open", STYLES).caption == "lo"


def test_lyrics_that_were_decided_on_are_proposed_anew_for_other_words_only(song):
    rejected = with_decision(proposed(song, lyrics("lo")), 1, "rejected", STYLES)
    assert shown(proposed(rejected, lyrics("lo"))) == [(1, "lo", "rejected")]
    assert shown(proposed(rejected, lyrics("lo", "la"))) == [(1, "lo", "rejected"), (2, "lo", "open")]
    assert shown(proposed(proposed(song, lyrics("lo")), lyrics("li"))) == [(2, "li", "open")]


def test_what_cannot_be_done(song):
    with pytest.raises(NotFoundError, match="no proposal 7"):
        with_decision(proposed(song), 7, "accepted", STYLES)
    full = replace(song, tags=tuple(f"tag {number}" for number in range(MAX_TAGS)))
    with pytest.raises(InvalidInputError, match="51 tags"):
        with_decision(proposed(full), 1, "accepted", STYLES)


def test_proposals_are_kept_in_the_record_and_older_records_open(song, tmp_path):
    dataset = Dataset("a", "Mine", STYLES, utc_now(), audio_files=(with_decision(proposed(song), 1, "accepted", ()),))
    written = dataset.to_dict()
    (tmp_path / "manifest.json").write_bytes(dataset.to_json())
    assert Dataset.read(tmp_path / "manifest.json") == dataset
    del written["audio_files"][0]["proposals"], written["audio_files"][0]["analyzed_by"]
    assert Dataset.from_dict(written, tmp_path).audio_files[0].proposals == ()
    written["audio_files"][0]["proposals"] = [
        {"number": 1, "kind": "tempo", "value": "60 bpm", "confidence": 0.5, "source": "a program"}
    ]
    assert Dataset.from_dict(written, tmp_path).audio_files[0].proposals[0].status == "open"
