"""Edits of many tracks at once: what becomes of their tags, and that all are made or none."""

import pytest

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.track_changes import TrackChange, with_track_changes

NOW = "2026-11-29T12:00:00+00:00"


def dataset(*tags: tuple[str, ...]) -> Dataset:
    tracks = (
        AudioFile(f"{number}.mp3", "la", own, "unknown", 1.0, 44100, 2, 1, str(number), NOW)
        for number, own in enumerate(tags)
    )
    return Dataset("id", "Nights", ("techno", "dark"), NOW, audio_files=tuple(tracks))


def tags_after(own: tuple[str, ...], **change) -> tuple[str, ...]:
    return with_track_changes(dataset(own), [TrackChange("0.mp3", **change)]).audio_files[0].tags


@pytest.mark.parametrize(
    ("own", "change", "tags"),
    [
        (("pop",), {"add_tags": ["live", "POP"]}, ("pop", "live")),
        (("pop", "Live"), {"remove_tags": ["live", "rock"]}, ("pop",)),
        (("pop", "zyx"), {"trigger_word": "zyx"}, ("zyx", "pop")),
        ((), {"add_tags": ["live"]}, ("techno", "dark", "live")),
        ((), {"remove_tags": ["dark"]}, ("techno",)),
        ((), {"trigger_word": "zyx"}, ("zyx", "techno", "dark")),
        (("pop",), {"tags": [], "add_tags": ["live"]}, ("techno", "dark", "live")),
        (("pop",), {"tags": []}, ()),
        (("pop",), {"caption": "lo"}, ("pop",)),
    ],
)
def test_tags_are_added_removed_and_put_first(own, change, tags):
    assert tags_after(own, **change) == tags


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rights": "mine"}, "1.mp3: The rights are 'mine'"),
        ({"trigger_word": "a, b"}, "1.mp3: The trigger word is 'a, b'"),
        ({"add_tags": [f"tag {number}" for number in range(60)]}, "1.mp3: There are 61 tags"),
    ],
)
def test_one_that_is_refused_is_named(change, said):
    with pytest.raises(InvalidInputError, match=said):
        with_track_changes(
            dataset(("pop",), ("pop",)), [TrackChange("0.mp3", rights="own"), TrackChange("1.mp3", **change)]
        )
    with pytest.raises(NotFoundError):
        with_track_changes(dataset(()), [TrackChange("nothing.mp3", rights="own")])
