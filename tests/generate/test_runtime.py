"""What an installation does by default."""

import shutil
from dataclasses import replace

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.generate.base_choice import choose_base
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.settings import Settings


def runtime_on(device: str) -> Runtime:
    return Runtime("nano", find_base("nano"), torch.device(device), AudioLimits(), 240.0)


def test_the_guides_figures_stand_on_every_base_and_what_suits_it_comes_from_its_record():
    runtime = runtime_on("cpu")
    lora, record = runtime.train_config("lora"), runtime.training_record
    assert (lora.epochs, lora.learning_rate, lora.lora.rank) == (3, 1e-4, 8)
    assert record.source
    assert lora.learning_rate_factor == record.learning_rate_factor > 1
    assert (lora.draws_per_epoch, lora.max_window_sec) == (record.draws_per_epoch, record.max_window_sec)


@pytest.mark.parametrize(("device", "on_gpu"), [("cpu", False), ("cuda", True)])
def test_a_gpu_trains_in_bfloat16_and_recomputes(device, on_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    runtime = runtime_on(device)
    config = runtime.train_config("lora")
    assert config.gradient_checkpointing == on_gpu
    assert (config.mixed_precision, config.base_dtype) == (("bf16", "bfloat16") if on_gpu else ("no", "float32"))
    assert runtime.train_config("full").base_dtype == "float32"


@pytest.fixture
def settings(tmp_path):
    return replace(Settings.load({}), data_dir=tmp_path, checkpoints_dir=None)


@pytest.fixture
def whole(settings):
    """The folder of the official checkpoints, with nano's in their place."""
    shutil.copytree(find_base("nano").model.parent, settings.official_dir)
    return settings.official_dir


@pytest.mark.parametrize(("gb", "reason"), [(16, "can hold it"), (8, "wants a GPU with 12 GB"), (None, "is cpu")])
def test_the_official_model_is_taken_where_it_is_there_and_fits(settings, whole, monkeypatch, gb, reason):
    monkeypatch.setattr("heartmula_studio.arch.device.total_bytes", lambda device: gb * 10**9)
    choice = choose_base("auto", settings, "cpu" if gb is None else "cuda")
    assert choice.name == (str(whole) if gb == 16 else "nano")
    assert reason in choice.reason


def test_nano_is_taken_until_the_official_model_is_whole(settings, whole, monkeypatch):
    (whole / "tokenizer.json").unlink()
    choice = choose_base("auto", settings, "cuda")
    assert (choice.name, "has not been downloaded" in choice.reason) == ("nano", True)


def test_a_base_that_is_asked_for_is_taken(settings, tmp_path):
    assert choose_base("nano", settings, "cpu").name == "nano"
    assert choose_base(str(tmp_path), settings, "cpu").name == str(tmp_path)


def test_a_full_fine_tune_keeps_the_trainers_learning_rate():
    assert runtime_on("cpu").train_config("full").learning_rate_factor == 1


def test_an_installation_may_allow_shorter_windows_than_suit_the_base():
    config = replace(runtime_on("cpu"), max_window_sec=2.0).train_config("lora")
    assert (config.min_window_sec, config.max_window_sec) == (2.0, 2.0)
