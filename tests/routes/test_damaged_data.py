"""A data folder that is damaged or cannot be written: every answer comes at once, and what is whole still works."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from heartmula_studio.routes.app import create_app
from tests.recordings import SONGS
from tests.routes.test_failures import failure
from tests.still_studio import filled, settings_for, still_studio

LISTS = ("/training/datasets", "/training/jobs", "/training/checkpoints", "/generate", "/styles", "/health")
MORE_THAN_THREADS = 45  # requests are answered by 40 threads


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return still_studio(settings_for(tmp_path_factory.mktemp("damaged") / "data"))


@pytest.fixture(scope="module")
def rest(studio):
    with TestClient(create_app(studio, studio.settings), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def dataset(studio):
    return filled(studio)


def test_preprocessing_answers_at_once_where_its_lock_cannot_be_opened(studio, rest, dataset):
    """Such requests never ended, and 45 of them used up all threads for good."""
    lock = studio.store.root / ".locks" / f"tokenizing-{dataset.id}.lock"
    lock.mkdir()
    url = f"/training/datasets/{dataset.id}/preprocess"
    with ThreadPoolExecutor(MORE_THAN_THREADS) as pool:
        answers = list(pool.map(lambda _: rest.post(url), range(MORE_THAN_THREADS)))
    for answer in answers:
        failure(answer, 507, "storage")
    assert rest.get("/health").status_code == 200
    assert studio.datasets.get(dataset.id).status == "ready"
    lock.rmdir()
    assert rest.post(url).status_code == 202


def test_a_folder_of_locks_that_is_gone_is_said_by_everything_that_writes(studio, rest, dataset):
    locks = studio.store.root / ".locks"
    locks.rename(locks.with_name("aside"))
    locks.write_text("")
    try:
        url = f"/training/datasets/{dataset.id}"
        for answer in (
            rest.post("/training/datasets", json={"name": "x"}),
            rest.put(url, json={"name": "x"}),
            rest.delete(url),
            rest.post(f"{url}/preprocess"),
            rest.post(f"{url}/audio", files={"file": ("a.ogg", SONGS[5].read_bytes())}),
            rest.post("/training/jobs", json={"dataset_id": dataset.id}),
            rest.post("/styles/custom", json={"name": "x"}),
            rest.post("/generate/music", json={"tags": "x"}),
        ):
            failure(answer, 507, "storage")
        assert [rest.get(path).status_code for path in LISTS] == [200] * len(LISTS)
    finally:
        locks.unlink()
        locks.with_name("aside").rename(locks)


@pytest.mark.parametrize("duration_sec", [float("nan"), float("inf"), -5.0, 1e300])
@pytest.mark.parametrize("call", ["/training/estimate", "/training/jobs"])
def test_a_dataset_edited_to_an_impossible_length_is_refused(studio, rest, dataset, duration_sec, call):
    copy = studio.store.root / "datasets" / "edited"
    shutil.copytree(studio.store.datasets.folder(dataset.id), copy)
    try:
        record = json.loads((copy / "manifest.json").read_text()) | {"id": "edited"}
        for song in record["audio_files"]:
            song["duration_sec"] = duration_sec
        (copy / "manifest.json").write_text(json.dumps(record))
        failure(rest.post(call, json={"dataset_id": "edited"}), 507, "storage")
        assert [rest.get(path).status_code for path in LISTS] == [200] * len(LISTS)
    finally:
        shutil.rmtree(copy)


@pytest.mark.parametrize("name", ["checkpoints/active.json", "styles.json"])
@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"schema": 1, "id": null, "strength": NaN}', b"[" * 100_000, None]
)
def test_a_damaged_choice_spoils_no_list(studio, rest, name, content):
    path = studio.store.root / name
    os.mkfifo(path) if content is None else path.write_bytes(content)
    try:
        assert [rest.get(path).status_code for path in LISTS] == [200] * len(LISTS)
    finally:
        path.unlink()


@pytest.mark.parametrize("texts", [{"lyrics": "x" * 100_001}, {"tags": "x" * 5_001}])
def test_a_song_is_asked_for_in_as_few_words_as_a_dataset_holds(rest, texts):
    """900,000 characters of lyrics were accepted."""
    failure(rest.post("/generate/music", json=texts), 422, "invalid_input")
