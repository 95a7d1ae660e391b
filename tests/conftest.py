"""Shared fixtures: the golden numbers and the small models they were made with."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import load_heartcodec, load_heartmula

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="session")
def golden_encoder() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "expected_encoder.safetensors")


@pytest.fixture
def golden_heartmula():
    return load_heartmula(GOLDEN / "heartmula")


@pytest.fixture(scope="session")
def golden_heartcodec():
    return load_heartcodec(GOLDEN / "heartcodec")
