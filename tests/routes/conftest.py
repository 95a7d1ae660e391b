import httpx
import pytest

from tests.studio_server import running_server

MAX_UPLOAD_BYTES = 1_200_000_000


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("studio") / "data"
    with running_server(data_dir, HEARTMULA_MAX_UPLOAD_BYTES=str(MAX_UPLOAD_BYTES)) as server:
        yield server


@pytest.fixture(scope="package")
def client(server):
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def dataset_id(client) -> str:
    return client.post("/training/datasets", json={"name": "My Dataset"}).json()["id"]
