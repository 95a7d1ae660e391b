"""Songs rendered while a run goes on: what they are, that they change no loss, and what a kill leaves of them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch

from heartmula_studio.finetune.checkpoint_meta import CheckpointMeta
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.ladder import engine_device
from heartmula_studio.finetune.previews import read_previews
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate import previews
from heartmula_studio.generate.previews import SongListener, Tracks, nearness_by_chance, preview_prompts
from tests.finetune.catalogues import codec_of, made_up_row, write_catalogue
from tests.finetune.training_jobs import loss_curve, read_metrics, song_row, write_job

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {"learning_rate": 1e-2, "ladder_rungs": 2, "preview_songs": 2, "preview_sec": 2.0, "lora": {"dropout": 0.2}}
KILL_SEC = 600
KILLED_AS_IT_KEEPS_A_RUNG = """
import os, signal, sys
from heartmula_studio.finetune.__main__ import main

def kill(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("checkpoints/step-00000005"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
main()
"""


@pytest.fixture(scope="module")
def make(tmp_path_factory, base_folder, short_windows):
    """make(name, **settings) → a job of ten steps on the golden base, with rungs after steps 5 and 10."""

    def make(name: str, **settings) -> Path:
        rows = [song_row(i, 10 + 3 * i) for i in range(6)]
        return write_job(
            tmp_path_factory.mktemp("jobs") / name, rows, base_model=str(base_folder), **SETTINGS | settings
        )

    return make


@pytest.fixture(scope="module")
def silent_curve(make):
    job = make("silent")
    train(job)
    assert not RunFolder(job).previews.exists()
    return loss_curve(job)


@pytest.fixture(scope="module")
def heard(make):
    """A job, and what came of it, that was listened to."""
    job = make("heard")
    return RunFolder(job), train(job, listener=SongListener())


def test_of_a_catalogue_some_tracks_stand_for_all(tmp_path, base_folder):
    """P: a run on a catalogue rendered no songs: its folder was taken for a dataset's."""
    rows = [made_up_row(number, 5) for number in range(130)]
    folder = write_catalogue(tmp_path / "codes", base_folder, rows)
    tracks = Tracks.load(folder, codec_of(base_folder))
    assert len(tracks.names) == len(set(tracks.names)) == 64
    last = next(row for row in rows if row.path == tracks.names[-1])
    assert (tracks.tags[-1], tracks.lyrics[-1]) == (last.tags, last.lyrics)
    assert torch.equal(tracks.codes[-1].T.flatten(), torch.tensor(last.codes, dtype=torch.int16))


def test_listening_changes_no_loss(heard, silent_curve):
    assert loss_curve(heard[0].path) == silent_curve


def test_base_and_rungs_sing_the_same_prompts_with_the_same_seeds(heard):
    folder, _ = heard
    base, *rungs = (read_previews(folder.preview(step)) for step in (0, 5, 10))
    assert (len(base), [len(songs) for songs in rungs]) == (8, [2, 2])
    for songs in rungs:
        assert [(song.tags, song.lyrics, song.seed) for song in songs] == [
            (song.tags, song.lyrics, song.seed) for song in base[:2]
        ]
    assert len({song.tags for song in base}) == 2
    for step, songs in ((0, base), (10, rungs[1])):
        for song in songs:
            info = soundfile.info(folder.preview(step) / f"{song.number}.flac")
            assert info.duration == pytest.approx(song.duration_sec, abs=0.1)
            assert song.ended == (song.duration_sec < 2)


def test_events_come_in_order_and_figures_reach_the_checkpoint(heard):
    folder, result = heard
    ladder = [line for line in read_metrics(folder.path) if line["event"] in ("rung", "preview", "figures")]
    assert [(line["event"], line["step"]) for line in ladder] == [
        *[("preview", 0)] * 8,
        ("figures", 0),
        *[("rung", 5), *[("preview", 5)] * 2, ("figures", 5)],
        *[("rung", 10), *[("preview", 10)] * 2, ("figures", 10)],
    ]
    figures = CheckpointMeta.read(folder.rung(10)).figures
    assert ladder[-1]["figures"]["nearness"] == figures.nearness
    assert figures.is_audible == (figures.nearness > figures.nearness_threshold)
    assert figures.copied_track in {f"song {number}" for number in range(6)}
    assert 0 <= figures.base_ended_share <= 1
    assert figures.held_out_loss == read_metrics(folder.path, "eval")[-1]["loss"]
    assert figures.shuffled_loss > 0
    assert result.checkpoint.parent == folder.checkpoints
    assert result.checkpoint.name.startswith("step-")
    assert read_metrics(folder.path, "step")[2]["preview_eta_sec"] > 0


@pytest.mark.long
def test_a_run_killed_while_it_keeps_a_rung_and_while_it_renders_goes_on_without_a_loss(make, heard, silent_curve):
    job = make("killed")
    folder = RunFolder(job)
    killed = subprocess.run([sys.executable, "-c", KILLED_AS_IT_KEEPS_A_RUNG, str(job)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert folder.rung_steps() == []
    process = subprocess.Popen([sys.executable, "-m", "heartmula_studio.finetune", str(job)], cwd=REPOSITORY)
    deadline = time.monotonic() + KILL_SEC
    while not list(folder.previews.glob(".tmp-step-00000005-*")):
        assert time.monotonic() < deadline, "it never rendered a rung"
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.saved_step() == 5
    assert read_previews(folder.preview(5)) == ()
    train(job, listener=SongListener())
    assert loss_curve(job) == silent_curve
    assert sorted(path.name for path in folder.previews.iterdir()) == [
        "step-00000000",
        "step-00000005",
        "step-00000010",
        "tracks",
    ]
    assert not list(folder.checkpoints.glob(".tmp-*"))
    for step in (5, 10):
        assert read_previews(folder.preview(step)) == read_previews(heard[0].preview(step))
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            assert (folder.rung(step) / name).read_bytes() == (heard[0].rung(step) / name).read_bytes()
    assert [line["step"] for line in read_metrics(job, "rung")] == [5, 10]


def test_a_run_that_is_asked_to_stop_while_it_renders_stops_there(make):
    job = make("stopped", max_steps=5, ladder_rungs=1)

    class Impatient(SongListener):
        def listen(self, folder, config, step, device, cancelled):
            if step:
                folder.stop.touch()
            return super().listen(folder, config, step, device, cancelled)

    assert train(job, listener=Impatient()).status == "stopped"
    assert read_metrics(job)[-1]["event"] == "stopped"
    assert train(job, listener=SongListener()).status == "completed"
    assert len(read_previews(RunFolder(job).preview(5))) == 2


def test_where_memory_does_not_allow_it_the_run_says_so_and_goes_on(make, monkeypatch):
    job = make("tight", max_steps=2, ladder_rungs=1)
    monkeypatch.setattr(previews, "generation_bytes", lambda base, device: 10**18)
    assert train(job, listener=SongListener()).status == "completed"
    skipped = read_metrics(job, "previews_skipped")
    assert [line["step"] for line in skipped] == [0, 2]
    assert "1000000000.0 GB of memory are needed" in skipped[0]["reason"]
    assert RunFolder(job).rung(2).is_dir()


@pytest.mark.parametrize(("device", "name"), [("cpu", "cpu"), ("cpu:0", "cpu"), ("cuda:1", "cuda:1"), ("mps:0", "mps")])
def test_an_engine_knows_the_device_of_a_process(device, name):
    assert engine_device(torch.device(device)) == name


def test_no_more_is_kept_than_the_disk_is_given(make):
    job = make("full", ladder_max_gb=0.0)
    train(job)
    assert {line["size_bytes"] for line in read_metrics(job, "rung")} == {0}
    assert "ladder_max_gb" in read_metrics(job, "rung")[0]["reason"]
    assert RunFolder(job).rung_steps() == []


def test_a_full_fine_tune_keeps_none_and_says_so(make):
    job = make("whole", method="full", learning_rate=1e-3, max_steps=1)
    result = train(job, listener=SongListener())
    assert "keeps no checkpoints to listen to" in " ".join(result.notes)
    assert (read_metrics(job, "rung"), RunFolder(job).previews.exists()) == ([], False)


def test_prompts_are_those_of_the_tracks_as_different_as_there_are():
    codes = torch.zeros(8, 250, dtype=torch.int16)
    tracks = Tracks(("a", "b", "c"), ("x", "x", "y"), ("", "", "[verse]\nfirst\nsecond"), (codes,) * 3)
    made = preview_prompts(tracks, TrainConfig(preview_songs=3, preview_sec=8.0, preview_seed=5))
    assert [(prompt.tags, prompt.seed) for prompt in made] == [
        (tags, 5 + number) for number, tags in enumerate("xxyxxyxx")
    ]
    assert made[2].lyrics == "[verse]\nfirst"
    assert [prompt.tags for prompt in preview_prompts(tracks, TrainConfig(preview_songs=1))] == ["x"] * 8


def test_a_song_of_the_base_is_seldom_nearer_than_chance_explains():
    generator = torch.Generator().manual_seed(0)

    def song(place: float = 0.0):
        return torch.randn(3, 8, generator=generator) + place + 0.3 * torch.randn(1, 8, generator=generator)

    style = torch.cat([song(2.0) for _ in range(4)])
    beyond = 0
    for _ in range(40):
        base, new = [song() for _ in range(8)], [song() for _ in range(2)]
        threshold = nearness_by_chance(base, style, 2)
        place = sum(previews.nearness(torch.cat(base), style, one) for one in new) / 2
        beyond += place > threshold
        assert threshold < 1
    assert beyond <= 6
