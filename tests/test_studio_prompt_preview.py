"""What a training will read of a track is shown before there is one, window by window."""

import dataclasses
from argparse import Namespace

import pytest

from heartmula_studio.cli.datasets import print_prompts
from heartmula_studio.errors import NotFoundError
from heartmula_studio.store.views import WindowPreview
from tests.recordings import CLIPS
from tests.still_studio import filled, settings_for, still_studio

NAME = CLIPS[0].name
TIMED = """[00:00.00] 作词 : Anna
[00:01.00]Verse One:
[00:01.00]Night <b>
[00:08.00]rain
[00:13.00](Chorus x2)
[00:13.50]Drive"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return still_studio(dataclasses.replace(settings_for(tmp_path_factory.mktemp("data")), max_window_sec=12.0))


@pytest.fixture(scope="module")
def dataset(studio):
    return filled(studio, 1, CLIPS)


def test_each_window_has_the_lyrics_sung_in_it_as_the_model_reads_them(studio, dataset, capsys):
    studio.datasets.update_audio(dataset.id, NAME, caption=TIMED, tags=["Night Drive", "120 BPM"])
    preview = studio.datasets.preview_prompt(dataset.id, NAME)
    assert (preview.tags, preview.timing, preview.removed) == ("night drive,120 bpm", "timed", ("作词 : Anna",))
    assert preview.windows == (
        WindowPreview(0.0, 12.0, "[verse 1]\nnight <b>\nrain"),
        WindowPreview(12.0, 24.0, "[chorus]\ndrive"),
    )
    print_prompts(studio, Namespace(id=dataset.id))
    printed = capsys.readouterr().out
    assert "    [chorus]\n    drive" in printed
    assert "Left out: 作词 : Anna" in printed
    with pytest.raises(NotFoundError):
        studio.datasets.preview_prompt(dataset.id, "nothing")


def test_lyrics_without_times_are_spread_and_tags_are_those_of_the_dataset(studio, dataset):
    studio.datasets.update_audio(dataset.id, NAME, caption="one\ntwo", tags=[])
    preview = studio.datasets.preview_prompt(dataset.id, NAME)
    assert (preview.tags, preview.timing) == ("techno", "spread")
    assert [window.lyrics for window in preview.windows] == ["one", "two"]
