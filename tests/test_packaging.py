"""What installs the studio elsewhere agrees with the project: Docker, compose, Windows, PyTorch without CUDA."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.routes.test_guide import wait_for
from tests.studio_server import ROOT


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / name).read_text(), re.MULTILINE))


def test_every_place_installs_the_same_torch():
    torch = {name: version for name, version in pins("requirements.txt").items() if name in ("torch", "torchaudio")}
    assert pins("requirements-cpu.txt") == torch
    named = re.findall(r"(torch\w*)==([\w.]+)", (ROOT / "start.bat").read_text())
    assert dict(named) == torch
    assert set(re.findall(r"(torch\w*)==([\w.]+)", (ROOT / "docs" / "troubleshooting.md").read_text())) == set(named)


def test_the_image_has_all_it_copies_and_is_not_root():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "USER 1000:1000" in lines
    assert any("/health" in line for line in lines)


def steps(instruction: str) -> list[str]:
    """What the Dockerfile has behind an instruction, each on one line."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{instruction} ").strip() for line in lines if line.startswith(f"{instruction} ")]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Iterator[Path]:
    """What the Dockerfile copies, installed by its last RUN into a virtual environment that sees the libraries here.

    Not replayed: the base image, apt-get, useradd and USER, and the installation of the libraries.
    """
    root = tmp_path_factory.mktemp("image")
    for line in steps("COPY"):
        *names, target = line.split()
        for name in names:
            place = root / "studio" / ("" if target == "./" else target)
            into = place / name if target == "./" else place
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            into.parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, into)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    (own,) = (root / "venv").glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    install = steps("RUN")[-1].replace("pip install", "-m pip install --no-index --no-build-isolation --quiet")
    command = [root / "venv" / "bin" / "python", *install.split()]
    done = subprocess.run(command, cwd=root / "studio", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(root / "studio")
    return root


@pytest.mark.long
def test_what_the_image_installs_runs_in_an_empty_folder(image, tmp_path):
    """Its CMD with its ENV, seen by its HEALTHCHECK: page, bundled base, clips and a song come from the wheel alone."""
    settings = dict(pair.split("=", 1) for line in steps("ENV")[1:] for pair in line.split())
    assert settings["HEARTMULA_DATA_DIR"] == "/data"
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("HEARTMULA_", "GRADIO_", "PYTHONPATH"))}
    settings |= {"HEARTMULA_DATA_DIR": str(tmp_path / "data"), "HF_HOME": str(tmp_path / "hub"), "HEARTMULA_PORT": "0"}
    settings |= {"HEARTMULA_TOKEN": "correct-horse", "PATH": f"{image}/venv/bin:{os.environ['PATH']}"}
    (tmp_path / "home").mkdir()
    command = json.loads(steps("CMD")[-1])
    surroundings = {"cwd": tmp_path / "home", "env": inherited | settings}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **surroundings)
    try:
        port = re.search(r":(\d+) ", server.stdout.readline())[1]
        check = re.search(r"CMD (\[.*\])", " ".join(steps("HEALTHCHECK")))[1].replace("7860", port)
        while subprocess.run(json.loads(check), check=False, stderr=subprocess.DEVNULL, **surroundings).returncode:
            assert server.poll() is None
        headers = {"Authorization": "Bearer correct-horse"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=None) as http:
            assert "HeartMuLa" in http.get("/").text
            assert len(http.post("/training/datasets/examples").json()["audio_files"]) == 6
            asked = http.post("/generate/music", json={"duration_sec": 1.0, "seed": 1}).json()
            song = wait_for(http, f"/generate/{asked['id']}")
            assert (song["status"], song["receipt"]["base"]) == ("completed", "nano")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_compose_has_a_service_for_each_kind_of_machine():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert services["studio"]["build"]["args"] == {"TORCH": "cpu"}
    assert services["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    for service in services.values():
        assert service["volumes"] == ["studio-data:/data"]
        assert "HEARTMULA_TOKEN" in service["environment"]


def test_the_start_script_of_windows_has_its_line_ends_and_files():
    raw = (ROOT / "start.bat").read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    for name in ("requirements.txt", "app.py"):
        assert name.encode() in raw
