"""What songs are made with, where PyTorch need not be asked."""

from dataclasses import replace

import pytest

from heartmula_studio.device_name import has_no_gpu
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services import surroundings
from heartmula_studio.services.surroundings import Surroundings
from tests.still_studio import settings_for


@pytest.mark.parametrize("base", ["nano", "auto"])
def test_it_is_what_pytorch_would_say(tmp_path, base):
    settings = replace(settings_for(tmp_path), base_model=base)
    assert Surroundings.without_torch(settings) == Surroundings.of(Runtime.of(settings))


def test_it_says_nothing_that_it_cannot_know(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    for other in (
        {"device": "cuda"},
        {"base_model": str(tmp_path)},
        {"base_model": "auto", "checkpoints_dir": tmp_path},
    ):
        assert Surroundings.without_torch(replace(settings, **other)) is None
    for is_sure in (True, False):
        monkeypatch.setattr(surroundings, "has_no_gpu", lambda is_sure=is_sure: is_sure)
        assert (Surroundings.without_torch(replace(settings, device="auto")) is not None) == is_sure
    settings.official_dir.mkdir()
    assert Surroundings.without_torch(replace(settings, base_model="auto")) is None


@pytest.mark.parametrize("name", ["nvidiactl", "kfd", "dri/renderD128", "dxg"])
def test_a_driver_in_dev_may_be_of_a_gpu(tmp_path, monkeypatch, name):
    monkeypatch.setattr("sys.platform", "linux")
    assert has_no_gpu(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert not has_no_gpu(tmp_path)
