"""Styles over REST, in from other programs and out to them; the Hub where there is no connection."""

import io
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load, load_file, save

from tests.still_studio import zipped_adapter

LAYER = "backbone.layers.0.attn.q_proj"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    """The folder of a plain adapter for the bundled base."""
    folder = tmp_path_factory.mktemp("adapter")
    zipped_adapter(folder)
    return folder / "adapter"


def take(client, content: bytes, name: str = "style.safetensors", **fields: str):
    return client.post(
        "/training/checkpoints/import", files={"file": (name, content)}, data={"name": "Night", **fields}
    )


def kohya(adapter: Path) -> bytes:
    parts = load_file(adapter / "adapter_model.safetensors")
    stem = "lora_unet_" + LAYER.replace(".", "_")
    names = {"lora_A": "lora_down", "lora_B": "lora_up"}
    renamed = {f"{stem}.{new}.weight": parts[f"base_model.model.{LAYER}.{old}.weight"] for old, new in names.items()}
    return save(renamed)


def test_a_style_of_another_program_comes_in_and_goes_out_again(client, adapter):
    answer = take(client, kohya(adapter))
    assert answer.status_code == 201, answer.text
    style = answer.json()
    assert style["change"]["changed"] == 1
    assert style["change"]["relative_norm"] > 0
    assert style["change"]["peft_difference"] < 1e-4
    assert "alpha" in style["warnings"][0]
    for format, name in (("comfyui", f"diffusion_model.{LAYER}"), ("safetensors", f"base_model.model.{LAYER}")):
        file = client.get(f"/training/checkpoints/{style['id']}/download", params={"format": format})
        assert file.headers["content-disposition"].endswith(".safetensors")
        assert any(tensor.startswith(name) for tensor in load(file.content))
        again = take(client, file.content).json()
        assert again["change"] == pytest.approx(style["change"])
        client.delete(f"/training/checkpoints/{again['id']}")
    merged = client.get(f"/training/checkpoints/{style['id']}/download", params={"format": "merged"})
    names = {Path(name).name for name in zipfile.ZipFile(io.BytesIO(merged.content)).namelist()}
    assert names == {"model.safetensors", "config.json"}
    assert client.get(f"/training/checkpoints/{style['id']}/download?format=gguf").status_code == 422
    client.delete(f"/training/checkpoints/{style['id']}")


def test_what_has_to_be_chosen_or_told_is_asked_for(client, adapter):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for step in ("checkpoint-10", "checkpoint-20"):
            for path in adapter.iterdir():
                file.write(path, f"{step}/{path.name}")
    asked = take(client, buffer.getvalue(), "run.zip")
    assert (asked.status_code, asked.json()["error"]["code"]) == (422, "choice_needed")
    assert "checkpoint-20, checkpoint-10" in asked.json()["error"]["hint"]
    chosen = take(client, buffer.getvalue(), "run.zip", which="checkpoint-10")
    assert chosen.status_code == 201
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    asked = take(client, weights)
    assert (asked.status_code, asked.json()["error"]["code"]) == (422, "alpha_needed")
    assert take(client, weights, alpha="much").status_code == 422
    told = take(client, weights, alpha="2")
    assert told.json()["change"] == chosen.json()["change"]
    for style in (chosen, told):
        client.delete(f"/training/checkpoints/{style.json()['id']}")


def test_the_hub_without_a_connection_is_said(client):
    for answer in (
        client.get("/hub/search"),
        client.get("/hub/repos/someone/night"),
        client.post("/hub/styles/pull", json={"repo_id": "someone/night"}),
        client.post("/hub/datasets/pull", json={"repo_id": "someone/songs"}),
        client.post("/hub/datasets/pull/start", json={"repo_id": "someone/songs"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "hub_unreachable")
    assert client.post("/hub/styles/pull", json={"repo_id": "../../etc"}).status_code == 422
    assert client.post("/hub/styles/none/push", json={"repo_id": "me/night"}).status_code == 404
