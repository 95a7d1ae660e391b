"""The official model from a Hub of our own, with everything that goes wrong on the way; nano is in its place."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.official import OFFICIAL_MODELS
from heartmula_studio.errors import (
    ConflictError,
    HubAccessError,
    HubError,
    HubUnreachableError,
    NotFoundError,
    StorageError,
)
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.library import hub_files
from heartmula_studio.services.library.model_folder import ModelFolder
from heartmula_studio.services.library.models import ModelService
from heartmula_studio.settings import Settings
from heartmula_studio.store.store import Store
from tests.hub_endpoint import HubEndpoint, hub_endpoint
from tests.still_studio import filled, still_studio, wait_until
from tests.whisper.spoken import MODEL as SPOKEN_MODEL

ROOT = Path(__file__).parents[2]
MODEL = OFFICIAL_MODELS[0]
NANO = find_base("nano")
WEIGHTS = "HeartCodec-oss/model.safetensors"
PIECE_BYTES = 2**18


def official_files() -> dict[str, dict[str, bytes]]:
    """The files of each repository."""
    folders = (NANO.model, NANO.codec, NANO.encoder)
    files = {
        part.repo: {path.name: path.read_bytes() for path in folder.iterdir()} | {".gitattributes": b"x"}
        for part, folder in zip(MODEL.parts, folders, strict=False)
    }
    texts = {path.name: path.read_bytes() for path in (NANO.tokenizer, NANO.gen_config)}
    return files | {MODEL.parts[-1].repo: texts | {"README.md": b"# Card"}}


FILES = official_files()


@pytest.fixture
def hub(tmp_path, monkeypatch) -> HubEndpoint:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", PIECE_BYTES)
    with hub_endpoint() as hub:
        hub.use(monkeypatch, tmp_path / "cache")
        for repo, files in FILES.items():
            hub.add(repo, dict(files))
        yield hub


@pytest.fixture
def settings(tmp_path) -> Settings:
    return replace(Settings.load({}), data_dir=tmp_path / "data", checkpoints_dir=None)


@pytest.fixture
def service(settings) -> ModelService:
    service = ModelService(Store(settings.data_dir), settings)
    yield service
    service.close()


def finished(service: ModelService):
    for thread in service._threads:
        thread.join()
    return service.get(MODEL.name)


def fetched(hub: HubEndpoint, name: str) -> list[str | None]:
    """The range of each request for the content of a file."""
    return [
        request.headers.get("range")
        for request in hub.requests
        if request.method == "GET" and f"/resolve/{hub.repos['model', MODEL.parts[0].repo].head}/{name}" in request.path
    ]


def test_a_whole_download_is_heartlibs_folder_and_is_verified_and_removed(hub, service, settings):
    before = service.get(MODEL.name)
    assert (before.status, before.done_bytes, before.licence) == ("absent", 0, "Apache-2.0")
    service.download(MODEL.name)
    done = finished(service)
    assert (done.status, done.error, done.done_bytes) == ("complete", None, done.size_bytes)
    base = find_base(settings.official_dir)
    assert base.model.name == "HeartMuLa-oss-3B"
    assert (base.codec / "config.json").read_bytes() == (NANO.codec / "config.json").read_bytes()
    assert not list(settings.official_dir.rglob(".gitattributes"))

    (settings.official_dir / WEIGHTS).write_bytes(bytes(len(FILES[MODEL.parts[1].repo]["model.safetensors"])))
    service.verify(MODEL.name)
    damaged = finished(service)
    assert (damaged.status, damaged.error.code) == ("incomplete", "hub")
    assert WEIGHTS in damaged.error.message

    mine = settings.official_dir / "HeartCodec-oss" / "mine.txt"
    mine.write_text("mine")
    service.remove(MODEL.name)
    assert service.get(MODEL.name).status == "absent"
    assert [path for path in settings.official_dir.rglob("*") if path.is_file()] == [mine]


def test_a_model_is_used_as_soon_as_it_has_come(hub, settings, monkeypatch):
    """By songs, trainings and all that says which base there is; by a GPU that is made up, as the model is nano."""
    monkeypatch.setattr("heartmula_studio.generate.base_choice.can_hold_3b", lambda device: True)
    studio = still_studio(replace(settings, base_model="auto", device="cpu", preview_songs=0))
    studio.songs.open()
    dataset = filled(studio)

    def sung() -> str:
        song = studio.songs.generate(SongRequest(duration_sec=1.0, seed=1))
        wait_until(lambda: studio.songs.get(song.id).status not in ("queued", "running"))
        return studio.songs.get(song.id).receipt["base"]

    def trained() -> str:
        return Path(studio.jobs.start(dataset_id=dataset.id, method="lora").base_model).name

    try:
        assert sung() == trained() == studio.health().base_model == "nano"
        before = studio.base_reason
        studio.models.download(MODEL.name)
        assert finished(studio.models).status == "complete"
        assert sung() == studio.health().base_model == "HeartMuLa-oss-3B"
        assert trained() == settings.official_dir.name
        assert "official model is there" in studio.base_reason
        studio.models.remove(MODEL.name)
        assert trained() == studio.health().base_model == "nano"
        assert studio.base_reason == before
    finally:
        studio.close()


def test_what_the_connection_breaks_off_goes_on_by_itself(hub, service):
    hub.cut_after = 3 * PIECE_BYTES
    service.download(MODEL.name)
    assert finished(service).status == "complete"
    assert fetched(hub, "model.safetensors")[:2] == [None, f"bytes={3 * PIECE_BYTES}-"]


def test_a_download_is_killed_and_goes_on_where_it_was(hub, service, settings):
    """kill -9 in the middle of the largest file; the next process asks for the rest alone."""
    script = f"""
import os, signal, sys
import huggingface_hub.constants
from heartmula_studio.services.library import models

huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = {PIECE_BYTES}
def watch(done, total):
    if done > {6 * PIECE_BYTES}:
        os.kill(os.getpid(), signal.SIGKILL)

models.ModelService(models.Store(models.Settings.load().data_dir), models.Settings.load()).download_here(
    {MODEL.name!r}, watch
)
"""
    environment = {**os.environ, **hub.environment, "HEARTMULA_DATA_DIR": str(settings.data_dir)}
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -9
    state = service.get(MODEL.name)
    assert state.status == "incomplete"
    assert 0 < state.done_bytes < state.size_bytes
    [partial] = settings.official_dir.rglob("*.incomplete")
    done, hub.requests = partial.stat().st_size, []
    service.download(MODEL.name)
    assert finished(service).status == "complete"
    ranges = [request.headers.get("range") for request in hub.requests if request.method == "GET"]
    assert [asked for asked in ranges if asked] == ([f"bytes={done}-"] if done else [])


def test_a_download_is_stopped_and_only_once_at_a_time(hub, service, monkeypatch):
    plain = hub_files.fetch

    def fetch(file, target, watch):
        with pytest.raises(ConflictError):
            service.download(MODEL.name)
        service.cancel(MODEL.name)
        plain(file, target, watch)

    monkeypatch.setattr("heartmula_studio.services.library.model_folder.fetch", fetch)
    service.download(MODEL.name)
    stopped = finished(service)
    assert (stopped.status, stopped.error) == ("incomplete", None)
    with pytest.raises(ConflictError):
        service.cancel(MODEL.name)


def test_other_bytes_than_announced_are_removed(hub, service, settings, monkeypatch):
    plain = hub_files.list_files

    def list_files(*asked):
        return [replace(file, sha256=file.sha256 and "0" * 64) for file in plain(*asked)]

    monkeypatch.setattr("heartmula_studio.services.library.model_folder.list_files", list_files)
    service.download(MODEL.name)
    failed = finished(service)
    assert (failed.status, failed.error.code) == ("incomplete", "hub")
    assert "other bytes than the Hub announced" in failed.error.message
    assert not list(settings.official_dir.rglob("*.incomplete"))


def test_a_full_disk_is_told_before_anything_is_written(hub, service, settings, monkeypatch):
    monkeypatch.setattr(ModelFolder, "free_bytes", lambda self: 1000)
    with pytest.raises(StorageError) as caught:
        service.download(MODEL.name)
    assert "GB are free" in caught.value.message
    assert not settings.official_dir.exists()


def test_a_disk_that_fills_up_ends_the_download_with_the_reason(hub, service, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_files, "http_get", full)
    service.download(MODEL.name)
    failed = finished(service)
    assert (failed.error.code, "make room" in failed.error.hint) == ("storage", True)


@pytest.mark.parametrize(("what", "kind"), [("gated", HubAccessError), ("gone", NotFoundError)])
def test_what_the_hub_does_not_give_out_is_told_at_once(hub, service, settings, what, kind):
    key = "model", MODEL.parts[0].repo
    if what == "gated":
        hub.repos[key].gated = True
    else:
        del hub.repos[key]
    with pytest.raises(kind, match=MODEL.parts[0].repo):
        service.download(MODEL.name)
    assert not settings.official_dir.exists()


def test_without_a_network_the_reason_is_told(hub, service, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError):
        service.download(MODEL.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachableError, match="cannot be reached"):
        service.download(MODEL.name)


def test_a_damaged_plan_touches_no_other_file(service, settings):
    folder = ModelFolder(MODEL, settings.official_dir)
    settings.official_dir.mkdir(parents=True)
    file = {"repo": "a/b", "revision": "0", "name": "x", "size_bytes": 1, "blob_id": "0", "sha256": None}
    plan = {"schema": 1, "files": [{**file, "target": "../../datasets"}]}
    (settings.official_dir / f"{MODEL.name}.download.json").write_text(json.dumps(plan))
    with pytest.raises(StorageError, match="not a file of a model"):
        folder.remove()
    listed, *_ = service.list()  # the page asks for it every few seconds
    assert "not a file of a model" in listed.error.message


def test_a_model_that_was_put_there_by_hand_is_there_and_is_not_removed(service, settings):
    shutil.copytree(NANO.model.parent, settings.official_dir)
    model = service.get(MODEL.name)
    assert (model.status, model.done_bytes) == ("complete", model.size_bytes)
    with pytest.raises(NotFoundError, match="has not been downloaded"):
        service.remove(MODEL.name)
    assert find_base(settings.official_dir)


def test_a_model_that_listens_is_there_as_soon_as_its_folder_is(service, settings):
    name = "HeartTranscriptor-oss"
    assert service.get(name).status == "absent"
    shutil.copytree(SPOKEN_MODEL, settings.official_dir / name)
    assert (service.get(name).status, service.get(name).message) == (
        "complete",
        "Transcribe lyrics on the Dataset tab uses it.",
    )
    assert service.get(MODEL.name).status == "absent"


def test_models_that_are_not_there(service):
    for call in (service.get, service.download, service.cancel, service.verify, service.remove):
        with pytest.raises(NotFoundError):
            call("GPT-2")
    for call in (service.verify, service.remove):
        with pytest.raises(NotFoundError, match="has not been downloaded"):
            call(MODEL.name)


def test_the_shell_downloads_verifies_and_removes(hub, settings, monkeypatch, capsys):
    from heartmula_studio.cli import main

    monkeypatch.setenv("HEARTMULA_DATA_DIR", str(settings.data_dir))
    for action, said in (("download", "complete"), ("verify", "as the Hub has them"), ("list", "complete")):
        assert main(["models", action]) == 0
        assert said in capsys.readouterr().out
    shutil.rmtree(settings.official_dir / "HeartCodec-oss")
    assert main(["models", "remove"]) == 0
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["models", "download"]) == HubError.exit_code
