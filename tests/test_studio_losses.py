"""Finding tracks whose words are wrong, by the base's own loss on each."""

import asyncio
from argparse import Namespace

import gradio as gr
import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.cli.datasets import print_losses
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.services.devices import Devices
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.views import TrackLosses
from heartmula_studio.studio import Studio
from heartmula_studio.ui.checks import follow, report_html, start
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, wait_until

NAMES = [song.name for song in SONGS[:2]]


def give_tokens(studio: Studio, dataset_id: str, filename: str, codes: torch.Tensor) -> None:
    song = studio.store.datasets.get_song(dataset_id, filename)
    codec = stored_codebook_id(find_base("nano").codec)
    tokens = Tokens(codes.short(), 12.5, codec, song.sha256, song.duration_sec)
    tokens.save(studio.store.datasets.tokens_path(dataset_id, filename))
    studio.store.datasets.set_tokens(dataset_id, filename, codes.shape[1])


@pytest.fixture
def studio(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def dataset(studio) -> Dataset:
    """Two tokenized tracks, the second of which is noise."""
    dataset = filled(studio, 2)
    give_tokens(studio, dataset.id, NAMES[0], torch.full((8, 20), 7))  # one code again and again
    noise = torch.randint(0, 64, (8, 20), generator=torch.Generator().manual_seed(0))
    give_tokens(studio, dataset.id, NAMES[1], noise)
    return dataset


def test_the_tracks_that_the_base_finds_unlikely_come_first(studio, dataset, capsys):
    losses = studio.checks.track_losses(dataset.id)
    assert [track.filename for track in losses.tracks] == [NAMES[1], NAMES[0]]
    assert losses.tracks[0].loss > losses.tracks[1].loss > 0
    print_losses(studio, Namespace(id=dataset.id))
    printed = capsys.readouterr()
    assert printed.out.index(NAMES[1]) < printed.out.index(NAMES[0])
    assert losses.explanation in printed.out
    assert "2/2" in printed.err


def test_wrong_lyrics_are_found_in_the_background(studio, dataset):
    started = studio.checks.start(dataset.id, "lyrics")
    assert (started.kind, started.total, started.report) == ("lyrics", 2, TrackLosses(()))
    wait_until(lambda: studio.checks.get(dataset.id, "lyrics").status != "running")
    ended = studio.checks.get(dataset.id, "lyrics")
    assert (ended.status, ended.done, ended.progress, ended.track) == ("completed", 2, 100, "")
    assert [track.filename for track in ended.report.tracks] == [NAMES[1], NAMES[0]]


def test_a_check_that_is_stopped_keeps_what_it_has_found(studio, dataset):
    steps = studio.checks.one_by_one(dataset.id, "lyrics")
    begun, first = next(steps), next(steps)
    assert (begun.done, first.done, first.progress, first.track) == (0, 1, 50, NAMES[0])
    with pytest.raises(ConflictError, match="being checked"):
        studio.checks.start(dataset.id, "lyrics")
    studio.checks.cancel(dataset.id, "lyrics")
    with pytest.raises(CancelledError):
        next(steps)
    ended = studio.checks.get(dataset.id, "lyrics")
    assert (ended.status, [track.filename for track in ended.report.tracks]) == ("cancelled", [NAMES[0]])
    assert "Stopped after 1 of 2 songs." in report_html(ended)
    with pytest.raises(ConflictError, match="Nothing is running"):
        studio.checks.cancel(dataset.id, "lyrics")


def test_what_cannot_be_measured_is_refused_before_it_begins(studio, dataset):
    with Devices(studio.store).generating("cpu"), pytest.raises(ConflictError, match="cannot be measured now"):
        studio.checks.start(dataset.id, "lyrics")
    studio.datasets.add_file(dataset.id, SONGS[2])
    for measure in (studio.checks.track_losses, lambda id: studio.checks.start(id, "lyrics")):
        with pytest.raises(ConflictError, match="1 of 3 songs are not tokenized"):
            measure(dataset.id)
    with pytest.raises(InvalidInputError, match="no check 'tempo'"):
        studio.checks.start(dataset.id, "tempo")
    with pytest.raises(NotFoundError):
        studio.checks.get("nothing", "lyrics")


async def shown(studio: Studio, begun: tuple[str, ...], id: str) -> list[tuple]:
    return [step async for step in follow(studio, begun, id)]


def test_the_page_follows_a_check_to_its_end_and_finds_it_again(studio, dataset):
    start(studio, "lyrics", dataset.id)
    start(studio, "lyrics", dataset.id)  # pressed twice
    *steps, (losses, sound, stop) = asyncio.run(shown(studio, ("lyrics",), dataset.id))
    assert {stop["visible"] for *_, stop in steps} <= {True}
    assert ("The most unlikely first" in losses, sound, stop["visible"]) == (True, gr.skip(), False)
    assert asyncio.run(shown(studio, (), dataset.id)) == [(gr.skip(), gr.skip(), gr.update(visible=False))]
    assert asyncio.run(shown(studio, (), "gone")) == [("", "", gr.update(visible=False))]
