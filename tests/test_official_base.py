"""A base in the layout of the newest official files through everything: tokenize, train, activate, generate.

The weights are nano's, so it can do all of it in seconds, and its tokens are known.
"""

import io
import json
import struct
import zipfile

import httpx
import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.cli import main
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from tests.official_files import nano_parts, newest_heartlib
from tests.recordings import SONGS
from tests.routes.waiting import wait_for
from tests.studio_server import running_server

pytestmark = pytest.mark.usefixtures("short_windows")
MODEL = "HeartMuLa-oss-3B-happy-new-year"


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("official") / "ckpt"
    newest_heartlib(nano_parts(), root)
    return str(root)


def test_from_a_shell(ckpt, tmp_path):
    def run(*arguments: object) -> None:
        assert main([*map(str, arguments), "--base", ckpt]) == 0

    assert main(["check", ckpt]) == 0
    run("tokenize", SONGS[0], "--out", tmp_path)
    tokens = Tokens.load(tmp_path / f"{SONGS[0].stem}.pt")
    expected = Codec.load(find_base("nano")).encode_file(SONGS[0])
    assert tokens.codec_id == expected.codec_id
    assert torch.equal(tokens.codes, expected.codes)

    options = ("--tags", "techno", "--max-steps", 1, "--window", 4, "--track-versions", 1)
    run("train", SONGS[0].parent, "--out", tmp_path / "run", *options)
    style, song = tmp_path / "run" / "checkpoints" / "last", tmp_path / "song.wav"
    run("generate", song, "--tags", "techno", "--seconds", 1, "--seed", 1, "--style", style)
    receipt = json.loads((tmp_path / "song.wav.json").read_text())
    assert receipt["base"] == MODEL
    assert receipt["style"]["layers_changed"] > 0


@pytest.fixture(scope="module")
def client(ckpt, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("studio") / "data"
    with (
        running_server(data_dir, HEARTMULA_BASE_MODEL=ckpt) as server,
        httpx.Client(base_url=server.url, timeout=180) as client,
    ):
        yield client


@pytest.mark.long
def test_over_rest(client):
    dataset = client.post("/training/datasets", json={"name": "Official", "styles": ["techno"]}).json()["id"]
    for song in SONGS[:5]:
        files = {"file": (song.name, song.read_bytes())}
        assert client.post(f"/training/datasets/{dataset}/audio", files=files).status_code == 201
    settings = {"dataset_id": dataset, "method": "lora", "max_steps": 1}
    asked = client.post("/training/jobs", json=settings)
    assert asked.status_code == 202, asked.text
    job = wait_for(client, f"/training/jobs/{asked.json()['id']}")
    assert job["status"] == "completed", job
    assert client.post(f"/training/checkpoints/{job['checkpoint_id']}/activate").status_code == 200
    asked = client.post("/generate/music", json={"tags": "techno", "duration_sec": 1.0, "seed": 7})
    song = wait_for(client, f"/generate/{asked.json()['id']}")
    assert song["status"] == "completed", song
    assert song["receipt"]["base"] == MODEL
    assert song["receipt"]["style"]["id"] == job["checkpoint_id"]
    assert client.get(f"/generate/{song['id']}/audio").content[:4] == b"RIFF"


@pytest.mark.long
def test_a_deeply_nested_header_is_the_files_fault_over_rest(client):
    """P: a style whose weights begin so was answered with 500."""
    header = b"[" * 100_000
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("adapter_config.json", json.dumps({"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}))
        archive.writestr("adapter_model.safetensors", struct.pack("<Q", len(header)) + header)
    answer = client.post(
        "/training/checkpoints/import", files={"file": ("style.zip", packed.getvalue())}, data={"name": "Nested"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "checkpoint_corrupt")
