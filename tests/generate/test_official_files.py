"""Official checkpoints in every known layout: each loads, and `inspect_base` says beforehand that it will."""

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.generate.inspection import inspect_base
from tests.official_files import LAYOUTS, Parts, golden_parts

EXACT = {"fp16": 1e-3, "bf16": 8e-3}


@pytest.fixture(scope="module")
def parts() -> Parts:
    return golden_parts()


@pytest.fixture(params=LAYOUTS)
def layout(request) -> str:
    return request.param


@pytest.fixture
def base_folder(layout, parts, tmp_path):
    LAYOUTS[layout](parts, tmp_path)
    return tmp_path


def same(loaded: torch.nn.Module, stored: dict, tolerance: float) -> bool:
    state = loaded.state_dict()
    return state.keys() == stored.keys() and all(
        torch.allclose(state[name].float(), tensor.float().reshape(state[name].shape), atol=tolerance, rtol=tolerance)
        for name, tensor in stored.items()
    )


def test_every_layout_loads_and_is_called_fine(base_folder, layout, parts):
    """P: flags of shape [1], the older codec taken, a complete codec, HeartMuLaGen/, HeartMuLa/ and the rest."""
    base, tolerance = find_base(base_folder), EXACT.get(layout, 0.0)
    assert same(load_heartmula(base.model), parts.model.tensors, tolerance)
    codec = Codec.load(base)
    encoder = {name.removeprefix("encoder."): tensor for name, tensor in parts.encoder.tensors.items()}
    assert same(codec.heartcodec.encoder, encoder, tolerance)
    codec.heartcodec.encoder = None
    assert same(codec.heartcodec, parts.codec.tensors, tolerance)
    assert codec.codec_id == stored_codebook_id(base.codec)
    PromptLayout.load(base)

    report = inspect_base(base_folder)
    assert (report.base, report.error, report.can_tokenize) == (base, None, True)
    assert [part.state for part in report.parts] == ["fits"] * 5
