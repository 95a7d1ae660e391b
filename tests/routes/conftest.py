import httpx
import pytest


@pytest.fixture(scope="session")
def client(server):
    with httpx.Client(base_url=server.url, timeout=180) as client:
        yield client


@pytest.fixture
def dataset_id(client) -> str:
    return client.post("/training/datasets", json={"name": "My Dataset"}).json()["id"]
