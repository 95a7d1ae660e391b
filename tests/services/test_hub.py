"""Styles and datasets to the Hub and back, by the real client, against a stand-in that keeps the wire format."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys

import datasets as _  # noqa: F401  # it reads its environment once
import gradio as gr
import pytest

from heartmula_studio.cli.hub import with_download
from heartmula_studio.errors import (
    ConflictError,
    HubAccessError,
    HubError,
    HubQuotaError,
    HubUnreachableError,
    InvalidInputError,
    NotFoundError,
    RightsUnknownError,
)
from heartmula_studio.files.hashing import file_sha256
from heartmula_studio.finetune.previews import preview_file
from heartmula_studio.generate.style import provenance_sha256
from heartmula_studio.services.library.hub import explained
from heartmula_studio.services.library.import_steps import DownloadStep, ImportStep
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import StyleChoice
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.studio import Studio
from heartmula_studio.ui.hub import follow, start_pull
from tests.hub_endpoint import TOKEN, HubEndpoint, hub_endpoint
from tests.ladders import LAST_STEP, make_ladder
from tests.recordings import SONGS
from tests.still_studio import NANO, settings_for, still_studio, wait_until, zipped_adapter

REPO = "musician/night-drive"
META = {
    "styles": ["Fado"],
    "losses": {"initial": 4.0, "best": 2.5},
    "rights": [{"filename": "my secret song.mp3", "sha256": "0" * 64, "rights": "own"}],
    "recipe": {"config": {"method": "lora", "epochs": 3, "base_model": "/home/me/models", "lora": {"rank": 2}}},
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return still_studio(settings_for(tmp_path_factory.mktemp("studio") / "data"))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> HubEndpoint:
    with hub_endpoint() as hub:
        hub.use(monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture(scope="module")
def style(studio, tmp_path_factory):
    """A style whose owner holds all rights."""
    folder = tmp_path_factory.mktemp("style")
    zipped_adapter(folder)
    (folder / "adapter" / "meta.json").write_text(json.dumps(META))
    return studio.checkpoints.import_archive(folder / "adapter", "Night *drive* <b>")


@pytest.fixture(scope="module")
def unknown_style(studio, tmp_path_factory):
    return studio.checkpoints.import_archive(zipped_adapter(tmp_path_factory.mktemp("unknown")), "Unknown")


def weights_of(studio: Studio, id: str) -> bytes:
    return (studio.store.checkpoints.folder(id) / "adapter_model.safetensors").read_bytes()


def test_a_style_goes_there_and_comes_back(hub, studio, style):
    """Private by default; with a card; pinned to a commit; found by its tags; without names of recordings."""
    done = studio.hub.push_style(style.id, REPO, "cc-by-4.0")
    assert hub.repos["model", REPO].private
    card = hub.repos["model", REPO].files["README.md"].decode()
    for said in ("license: cc-by-4.0", "- heartmula", "- lora", "1 recording: 1 own", "held out, best: 2.5000"):
        assert said in card
    assert r"Night \*drive\* \<b\>" in card
    everything = b"".join(hub.repos["model", REPO].files.values())
    assert b"secret" not in everything
    assert b"/home/me" not in everything
    assert TOKEN.encode() not in everything
    (found,) = studio.hub.find(words="night")
    assert (found.id, found.revision) == (REPO, done.revision)
    assert studio.hub.look_at(REPO).card == card
    pulled = studio.hub.pull_style(REPO)
    assert pulled.name == "night-drive"
    assert pulled.origin == {"hub": REPO, "revision": done.revision}
    assert studio.checkpoints.provenance(pulled.id)["hub"] == pulled.origin
    assert weights_of(studio, pulled.id) == weights_of(studio, style.id)
    assert (pulled.styles, pulled.losses, pulled.rights[0].rights) == (("Fado",), style.losses, "own")
    studio.checkpoints.delete(pulled.id)


def test_what_a_style_stands_on_is_one_record(studio, style):
    """Hashes of base, adapter and training set, which a receipt points to by the record's own."""
    record, folder = studio.checkpoints.provenance(style.id), studio.store.checkpoints.folder(style.id)
    assert record["base_sha256"] == file_sha256(NANO / "model.safetensors")
    assert record["adapter_sha256"] == file_sha256(folder / "adapter_model.safetensors")
    assert (record["training_set"], record["songs"]) == (hashlib.sha256(b"0" * 64).hexdigest(), 1)
    assert studio.checkpoints.provenance(style.id) == record
    assert provenance_sha256(folder) == file_sha256(folder / "provenance.json")


def test_songs_and_the_warning_of_a_near_copy_go_along(hub, studio):
    """Those that the training rendered of the base and of the rung; the recording that was copied is not named."""
    job = make_ladder(studio.store)
    style = studio.ladder.keep(job.id, LAST_STEP, "Arcade")
    studio.hub.push_style(style.id, REPO, confirm_rights=True)
    files = hub.repos["model", REPO].files
    run = JobFolder(studio.store.jobs.folder(job.id))
    for number in (0, 1):
        assert files[f"songs/{number}-base.flac"] == preview_file(run.preview(0), number).read_bytes()
        assert files[f"songs/{number}-style.flac"] == preview_file(run.preview(LAST_STEP), number).read_bytes()
    card = files["README.md"].decode()
    assert f'<audio controls src="{hub.url}/{REPO}/resolve/main/songs/1-style.flac"></audio>' in card
    assert "came close to a recording" in card
    assert b"tt1" not in b"".join(files.values())
    assert json.loads(files["meta.json"])["figures"]["is_near_copy"]
    studio.jobs.delete(job.id)
    studio.hub.push_style(style.id, "musician/without", confirm_rights=True)
    assert not [name for name in hub.repos["model", "musician/without"].files if name.startswith("songs/")]


def test_a_merged_style_names_its_parents(hub, studio, style, unknown_style):
    merged = studio.checkpoints.merge("Both", [StyleChoice(style.id, 0.5), StyleChoice(unknown_style.id)])
    with pytest.raises(RightsUnknownError):
        studio.hub.push_style(merged.id, REPO)
    studio.hub.push_style(merged.id, REPO, confirm_rights=True)
    card = hub.repos["model", REPO].files["README.md"].decode()
    assert f"Unknown, strength 1: `{merged.merged_from[1].sha256}`" in card
    pulled = studio.hub.pull_style(REPO)
    assert pulled.merged_from == merged.merged_from
    for one in (pulled, merged):
        studio.checkpoints.delete(one.id)


def test_an_older_revision_can_be_had(hub, studio, style):
    first = studio.hub.push_style(style.id, REPO, "other")
    hub.repos["model", REPO].commit({**hub.repos["model", REPO].files, "README.md": b"# Changed\n"})
    assert studio.hub.look_at(REPO).card == "# Changed\n"
    assert "Night" in studio.hub.look_at(REPO, revision=first.revision).card
    pulled = studio.hub.pull_style(REPO, first.revision, "Old")
    assert pulled.origin["revision"] == first.revision
    studio.checkpoints.delete(pulled.id)
    with pytest.raises(NotFoundError, match="no such revision"):
        studio.hub.pull_style(REPO, "0" * 40)


def test_unknown_rights_are_asked_for(hub, studio, unknown_style):
    with pytest.raises(RightsUnknownError, match="rights") as caught:
        studio.hub.push_style(unknown_style.id, REPO)
    assert "confirm_rights" in caught.value.hint
    assert not hub.repos
    studio.hub.push_style(unknown_style.id, REPO, confirm_rights=True)
    assert "not recorded" in hub.repos["model", REPO].files["README.md"].decode()


def test_a_name_that_is_taken_is_not_overwritten(hub, studio, style):
    hub.add(REPO, {"README.md": b"# Mine\n"})
    with pytest.raises(ConflictError, match="taken"):
        studio.hub.push_style(style.id, REPO)
    assert hub.repos["model", REPO].files == {"README.md": b"# Mine\n"}
    studio.hub.push_style(style.id, REPO, update=True)
    assert "adapter_model.safetensors" in hub.repos["model", REPO].files


@pytest.mark.parametrize("repo_id", ["night", "a/b/c", "../x", "a/..", "", "a b/c", "musician/" + "x" * 100])
def test_names_that_are_none_are_refused_before_anything_is_sent(hub, studio, style, repo_id):
    for ask in (lambda: studio.hub.push_style(style.id, repo_id), lambda: studio.hub.pull_style(repo_id)):
        with pytest.raises(InvalidInputError, match="is not the name of a repository"):
            ask()
    assert not hub.requests


def test_what_the_hub_refuses_is_said(hub, studio, style, monkeypatch):
    hub.add("someone/gated", {"adapter_model.safetensors": b"x"}, gated=True)
    hub.add("someone/hidden", {"README.md": b"x"}, private=True)
    hub.quota_bytes = 10
    with pytest.raises(HubQuotaError, match="storage limit"):
        studio.hub.push_style(style.id, REPO)
    hub.quota_bytes = None
    with pytest.raises(HubAccessError, match="does not allow"):
        studio.hub.push_style(style.id, "someone/new")
    with pytest.raises(HubAccessError, match="gated"):
        studio.hub.pull_style("someone/gated")
    with pytest.raises(InvalidInputError, match="licence"):
        studio.hub.push_style(style.id, REPO, license="my own")
    monkeypatch.setenv("HF_TOKEN", "hf_a_wrong_token_that_nobody_knows")
    for ask in (lambda: studio.hub.push_style(style.id, REPO), lambda: studio.hub.pull_style("someone/hidden")):
        with pytest.raises((HubAccessError, NotFoundError)) as caught:
            ask()
        assert "wrong_token" not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError) as caught:
        studio.hub.push_style(style.id, REPO)
    assert "hf auth login" in caught.value.hint


def test_without_a_connection_nothing_hangs(studio, style, tmp_path, monkeypatch):
    with hub_endpoint() as hub:
        hub.use(monkeypatch, tmp_path / "cache")
    with pytest.raises(HubUnreachableError, match="cannot be reached"):
        studio.hub.pull_style(REPO)
    with pytest.raises(HubUnreachableError, match="cannot be reached"):
        studio.hub.push_style(style.id, REPO)

    def wait(seconds: float) -> None:
        raise AssertionError("the client waits to ask again")

    monkeypatch.setattr("time.sleep", wait)
    with pytest.raises(HubUnreachableError, match="cannot be reached for the search"):
        studio.hub.find()


def test_tokens_never_get_into_an_error():
    assert "hf_…" in str(explained(ValueError(f"Bearer {TOKEN} is wrong"), "x"))
    assert TOKEN not in str(explained(ValueError(f"Bearer {TOKEN} is wrong"), "x"))


def test_a_download_that_broke_off_goes_on(hub, studio, style):
    studio.hub.push_style(style.id, REPO)
    hub.cut_after = 100
    pulled = studio.hub.pull_style(REPO)
    assert weights_of(studio, pulled.id) == weights_of(studio, style.id)
    studio.checkpoints.delete(pulled.id)


def test_a_dataset_goes_there_and_comes_back(hub, studio):
    dataset = studio.datasets.create("Mine", ["Techno"])
    studio.datasets.add_file(dataset.id, SONGS[0], None, "la la", ["calm"])
    with pytest.raises(RightsUnknownError):
        studio.hub.push_dataset(dataset.id, "musician/songs")
    studio.hub.push_dataset(dataset.id, "musician/songs", confirm_rights=True)
    assert hub.repos["dataset", "musician/songs"].private
    assert [repo.id for repo in studio.hub.find("dataset")] == ["musician/songs"]
    taken = studio.hub.pull_dataset("musician/songs")
    (song,) = taken.audio_files
    assert (song.caption, song.tags, song.sha256) == (
        "la la",
        ("calm",),
        studio.datasets.get(dataset.id).audio_files[0].sha256,
    )


@pytest.fixture
def songs(hub) -> str:
    """A dataset of three songs on the Hub."""
    hub.add(
        "musician/songs", {"README.md": b"# Songs\n"} | {song.name: song.read_bytes() for song in SONGS[:3]}, "dataset"
    )
    return "musician/songs"


def hub_bytes(hub: HubEndpoint, repo_id: str) -> int:
    return sum(map(len, hub.repos["dataset", repo_id].files.values()))


def ended(studio: Studio, id: str) -> ImportTask:
    wait_until(lambda: studio.imports.get(id).status != "running")
    return studio.imports.get(id)


def test_a_dataset_is_pulled_in_the_background(hub, studio, songs):
    task = studio.hub.start_pull(songs, styles=["techno"])
    assert (task.status, task.name, task.repo_id) == ("running", songs, songs)
    done = ended(studio, task.id)
    assert (done.status, done.name, done.done, done.total, done.progress) == ("completed", "songs", 3, 3, 100)
    assert done.download_bytes == done.downloaded_bytes == hub_bytes(hub, songs)
    assert [item.name for item in done.skipped] == ["README.md"]
    assert studio.datasets.get(done.dataset_id).styles == ("techno",)
    assert done in studio.imports.list()
    studio.datasets.delete(done.dataset_id)


def test_a_dataset_that_has_come_is_pulled_again_at_once(hub, studio, songs, slow_to_let_go):
    first = ended(studio, studio.hub.start_pull(songs).id)
    again = ended(studio, studio.hub.start_pull(songs).id)
    assert (first.status, again.status) == ("completed", "completed")
    for pulled in (first, again):
        studio.datasets.delete(pulled.dataset_id)


def test_the_download_is_counted_and_then_the_songs(hub, studio, songs):
    steps = [*studio.imports.pull_one_by_one(songs)]
    downloads = [step for step in steps if isinstance(step, DownloadStep)]
    counted = [step.done_bytes for step in downloads]
    assert (counted[0], counted) == (0, sorted(counted))
    assert {step.total_bytes for step in downloads} == {hub_bytes(hub, songs)}
    assert [(step.filename, step.done) for step in steps if isinstance(step, ImportStep)] == [
        (song.name, done) for done, song in enumerate(SONGS[:3])
    ]
    again = next(studio.imports.pull_one_by_one(songs))
    assert again.done_bytes == again.total_bytes
    studio.datasets.delete(steps[-1].id)


def test_a_download_that_is_stopped_leaves_no_dataset(hub, studio, songs):
    before = studio.datasets.list()
    hub.hold = "download"
    task = studio.hub.start_pull(songs)
    assert hub.reached.wait(120)
    with pytest.raises(ConflictError, match="musician/songs is being imported"):
        studio.hub.start_pull(songs)
    studio.imports.cancel(task.id)
    stopped = ended(studio, task.id)  # although the Hub says nothing
    assert (stopped.status, stopped.dataset_id) == ("cancelled", None)
    hub.hold = None
    hub.released.set()
    assert studio.datasets.list() == before
    assert not any(studio.settings.data_dir.glob(".tmp-*"))


def test_what_the_hub_refuses_is_said_before_a_pull_begins(hub, studio):
    hub.add("someone/gated", {"README.md": b"x"}, "dataset", private=True)
    hub.token = "another"
    with pytest.raises(NotFoundError, match="no someone/gated on the Hub, or it is private"):
        studio.hub.start_pull("someone/gated")
    with pytest.raises(InvalidInputError, match="not the name of a repository"):
        studio.hub.start_pull("gated")
    assert {task.status for task in studio.imports.list()} <= {"completed", "cancelled", "failed"}


def test_the_shell_shows_the_download_and_the_songs(hub, studio, songs, capsys):
    taken = with_download(studio.imports.pull_one_by_one(songs))
    shown = capsys.readouterr().err
    assert "Downloading: 100%" in shown
    assert "3/3" in shown
    studio.datasets.delete(taken.id)


def test_the_page_follows_a_pull_to_its_end(hub, studio, songs):
    async def shown() -> list[tuple]:
        return [step async for step in follow(studio, *start_pull(studio, songs, "", "Mine", ""))]

    *steps, (report, stop, dataset_id) = asyncio.run(shown())
    assert {(step[1]["visible"], step[2] == gr.skip()) for step in steps} <= {(True, True)}
    assert ("“Mine” has 3 songs" in report, stop["visible"]) == (True, False)
    studio.datasets.delete(dataset_id)


SCRIPT = """
import sys
from pathlib import Path
from heartmula_studio.services.library.hub import push_folder
push_folder("model", Path(sys.argv[1]), sys.argv[2], True, False, "A style")
"""
STEPS = ("create", "preupload", "batch", "upload", "commit")


@pytest.mark.parametrize("step", STEPS)
def test_an_upload_that_was_killed_leaves_nothing_half_done(hub, studio, style, step):
    """kill -9 at five points; the same command again then publishes it."""
    hub.hold = step
    command = [sys.executable, "-c", SCRIPT, str(studio.store.checkpoints.folder(style.id)), REPO]
    process = subprocess.Popen(command, env={**os.environ, **hub.environment})
    assert hub.reached.wait(120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    hub.hold = None
    hub.released.set()
    assert all(set(repo.files) <= {".gitattributes"} for repo in hub.repos.values())
    studio.hub.push_style(style.id, REPO)
    files = hub.repos["model", REPO].files
    assert {"README.md", "adapter_model.safetensors", "adapter_config.json", "meta.json"} <= set(files)
    assert weights_of(studio, style.id) == files["adapter_model.safetensors"]
