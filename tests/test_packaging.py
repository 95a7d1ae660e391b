"""What installs the studio elsewhere agrees with the project: Docker, compose, Windows, PyTorch without CUDA."""

import re

import yaml

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
