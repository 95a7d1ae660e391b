"""Demucs separates the voice, and no other network is ever built; `tests/separation/band.py` made a small one."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from heartmula_studio.errors import AudioError, CancelledError, CheckpointCorruptError, CheckpointMismatchError
from tests.separation.band import RATE_HZ, SEPARATOR, with_band
from tests.whisper.spoken import SPOKEN

pytest.importorskip("demucs", reason="Demucs is not installed: pip install 'heartmula-studio[vocals]'")

from heartmula_studio.codec import vocals
from heartmula_studio.codec.vocals import VocalSeparator

CPU = torch.device("cpu")
BLOCK = 2**16


@pytest.fixture(scope="module")
def separator() -> VocalSeparator:
    return VocalSeparator(SEPARATOR, CPU)


@pytest.fixture(scope="module")
def mix(tmp_path_factory) -> Path:
    return with_band(tmp_path_factory.mktemp("band") / "song.flac")


def sound(path: Path) -> torch.Tensor:
    return torch.from_numpy(soundfile.read(path, dtype="float32")[0])


def separated(separator: VocalSeparator, path: Path, rate_hz: int = RATE_HZ) -> torch.Tensor:
    return torch.cat(list(separator.read_blocks(path, rate_hz, BLOCK)), dim=1)[0]


def signal_to_noise_db(heard: torch.Tensor, voice: torch.Tensor) -> float:
    return float(10 * torch.log10(voice.square().sum() / (heard - voice).square().sum()))


def test_the_voice_is_separated_in_its_whole_length_and_in_time(separator, mix):
    voice = separated(separator, mix)
    assert len(voice) == len(sound(SPOKEN))
    alone = 0.5 * sound(SPOKEN)
    assert signal_to_noise_db(voice, alone) > signal_to_noise_db(sound(mix), alone) + 6


def test_pieces_are_joined_without_a_seam(separator, mix, monkeypatch):
    whole = separated(separator, mix)
    monkeypatch.setattr(vocals, "PIECE_SEC", 5)
    assert signal_to_noise_db(separated(separator, mix), whole) > 25


def test_blocks_come_at_the_rate_that_is_asked_for(separator, mix):
    blocks = list(separator.read_blocks(mix, 8000, BLOCK))
    assert {len(block) for block in blocks} == {1}
    assert sum(block.shape[1] for block in blocks) == len(sound(SPOKEN)) // 2


def test_a_person_may_stop_it(separator, mix, tmp_path):
    with pytest.raises(CancelledError):
        list(separator.read_blocks(mix, RATE_HZ, BLOCK, lambda: True))
    with pytest.raises(AudioError):
        list(separator.read_blocks(tmp_path / "nothing.wav", RATE_HZ, BLOCK))


def changed(folder: Path, without: str = "", **metadata: str) -> Path:
    """A copy of the small model with other metadata, or without a weight."""
    shutil.copytree(SEPARATOR, folder)
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **metadata}
    save_file({name: weight for name, weight in load_file(path).items() if name != without}, path, metadata)
    return folder


@pytest.mark.parametrize("named", ["subprocess.Popen", "demucs.htdemucs.importlib", "torch.nn.Linear", ""])
def test_no_other_class_is_built_whatever_a_file_names(tmp_path, named):
    folder = changed(tmp_path / "model", klass=named, args='[["touch", "/tmp/run"]]')
    with pytest.raises(CheckpointMismatchError, match=r"Allowed are demucs\.demucs\.Demucs"):
        VocalSeparator(folder, CPU)


def test_quantised_weights_name_classes_too_and_are_not_read(tmp_path):
    with pytest.raises(CheckpointMismatchError, match="quantised"):
        VocalSeparator(changed(tmp_path / "model", structure='{"_class": "subprocess.Popen"}'), CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"without": "encoder.0.conv.bias"},
        {"kwargs": "{}"},
        {"kwargs": "no JSON"},
        {"kwargs": json.dumps({"sources": ["a"], "channels": 2**40})},
        {"args": "[1, 2, 3]"},
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_allocated(tmp_path, change):
    with pytest.raises(CheckpointCorruptError, match="cannot be loaded as Demucs"):
        VocalSeparator(changed(tmp_path / "model", **change), CPU)


@pytest.mark.parametrize("listed", ["", "models: 3", "models: ['../model/5b0ce5']", "!!python/name:os"])
def test_a_list_names_networks_of_its_own_folder(tmp_path, listed):
    folder = changed(tmp_path / "model")
    (folder / "spoken.yaml").write_text(listed)
    with pytest.raises(CheckpointCorruptError, match="cannot be loaded as Demucs"):
        VocalSeparator(folder, CPU)
    (folder / "spoken.yaml").unlink()
    with pytest.raises(CheckpointCorruptError, match="no YAML file"):
        VocalSeparator(folder, CPU)


def test_a_model_that_knows_no_vocals_is_refused(tmp_path):
    folder = changed(tmp_path / "model")
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, "pt") as file:
        settings = json.loads(file.metadata()["kwargs"])
    folder = changed(tmp_path / "other", kwargs=json.dumps({**settings, "sources": ["band", "rest"]}))
    with pytest.raises(CheckpointMismatchError, match="separates band, rest"):
        VocalSeparator(folder, CPU)
