import httpx
import pytest

from tests.recordings import SONGS
from tests.routes.waiting import wait_for


@pytest.fixture(scope="session")
def client(server):
    with httpx.Client(base_url=server.url, timeout=180) as client:
        yield client


@pytest.fixture
def dataset_id(client) -> str:
    return client.post("/training/datasets", json={"name": "My Dataset"}).json()["id"]


@pytest.fixture(scope="session")
def trained(client) -> dict:
    """The six calls, word for word, up to a finished job; returns the job."""
    assert isinstance(client.get("/training/datasets").json(), list)
    made = client.post("/training/datasets", json={"name": "My Dataset", "styles": ["Pop", "Electronic"]})
    assert made.status_code == 201
    dataset = made.json()
    assert (dataset["name"], dataset["styles"], dataset["status"]) == ("My Dataset", ["Pop", "Electronic"], "draft")
    for song in SONGS[:5]:
        files = {"file": (song.name, song.read_bytes())}
        added = client.post(f"/training/datasets/{dataset['id']}/audio", files=files, data={"caption": "la la"})
        assert added.status_code == 201
        assert (added.json()["filename"], added.json()["caption"]) == (song.name, "la la")
    settings = {"dataset_id": dataset["id"], "method": "lora", "epochs": 3, "learning_rate": 0.0001}
    settings |= {"draws_per_epoch": 1, "batch_size": 1, "prior_fraction": 0}  # for speed
    job = client.post("/training/jobs", json=settings)
    assert job.status_code == 202
    assert job.json()["status"] == "queued"
    assert client.delete(f"/training/datasets/{dataset['id']}").status_code == 409
    return wait_for(client, f"/training/jobs/{job.json()['id']}")
