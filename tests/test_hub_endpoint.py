"""The stand-in for the Hub does what the real client asks of the real one."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tests.hub_endpoint import HubEndpoint, hub_endpoint

CARD = b"---\ntags:\n- heartmula\n- lora\n---\n# Night drive\n"
WEIGHTS = bytes(range(256)) * 400


@pytest.fixture
def hub(tmp_path, monkeypatch) -> HubEndpoint:
    with hub_endpoint() as hub:
        hub.use(monkeypatch, tmp_path / "cache")
        yield hub


def test_what_is_pushed_comes_back_by_tag_revision_and_file(hub, tmp_path):
    folder = tmp_path / "style"
    folder.mkdir()
    (folder / "README.md").write_bytes(CARD)
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    api = HfApi()
    api.create_repo("musician/night", private=True)
    first = api.upload_folder(repo_id="musician/night", folder_path=folder)
    (folder / "README.md").write_bytes(CARD + b"Again.\n")
    second = api.upload_folder(repo_id="musician/night", folder_path=folder)
    assert [repo.id for repo in api.list_models(filter=["heartmula", "lora"])] == ["musician/night"]
    assert api.model_info("musician/night").sha == second.oid
    for revision, length in ((first.oid, len(CARD)), (second.oid, len(CARD) + 7), ("main", len(CARD) + 7)):
        path = hf_hub_download("musician/night", "README.md", revision=revision)
        assert len(Path(path).read_bytes()) == length
    fetched = snapshot_download("musician/night")
    assert (Path(fetched) / "adapter_model.safetensors").read_bytes() == WEIGHTS
    assert sum(request.method == "PUT" for request in hub.requests) == 1  # the weights did not change


def test_refusals_are_the_clients_own_exceptions(hub, monkeypatch):
    hub.add("someone/gated", {"README.md": CARD}, gated=True)
    hub.add("someone/hidden", {"README.md": CARD}, private=True)
    api = HfApi()
    api.create_repo("musician/night")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("musician/night")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("someone/new")
    with pytest.raises(GatedRepoError):
        hf_hub_download("someone/gated", "README.md")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("musician/night", revision="0" * 40)
    monkeypatch.delenv("HF_TOKEN")
    for repo in ("someone/hidden", "someone/missing"):
        with pytest.raises(RepositoryNotFoundError):
            api.model_info(repo)


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    hub.add("someone/night", {"adapter_model.safetensors": WEIGHTS})
    hub.cut_after = 1000
    path = hf_hub_download("someone/night", "adapter_model.safetensors")
    assert Path(path).read_bytes() == WEIGHTS
    assert [request.headers.get("range") for request in hub.requests if request.method == "GET"][-1] == "bytes=1000-"


def test_uploads_over_the_quota_are_refused(hub, tmp_path):
    hub.quota_bytes = 1000
    api = HfApi()
    api.create_repo("musician/night")
    with pytest.raises(HfHubHTTPError, match="storage limit"):
        api.upload_file(repo_id="musician/night", path_or_fileobj=WEIGHTS, path_in_repo="adapter_model.safetensors")
