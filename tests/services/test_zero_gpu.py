"""A Space with ZeroGPU: songs go where its GPU is, trainings are refused with the reason."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.planning.service import PlanningService
from heartmula_studio.services.zero_gpu import on_zero_gpu
from heartmula_studio.settings import forgets_data
from tests.services.studio_folder import BUNDLED


def sing(words: str) -> str:
    return f"la {words}"


@pytest.fixture
def zero_gpu(monkeypatch) -> list[int]:
    """Such a Space; the list holds for how long functions asked for the GPU."""
    asked: list[int] = []

    def lend(duration: int):
        def decorated(function):
            def with_gpu(*arguments):
                asked.append(duration)
                return function(*arguments)

            return with_gpu

        return decorated

    monkeypatch.setenv("SPACE_ID", "me/studio")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))
    return asked


def test_a_song_is_made_where_the_gpu_is(zero_gpu):
    assert on_zero_gpu(sing)("la") == "la la"
    assert zero_gpu == [180]


def test_elsewhere_nothing_is_asked_for():
    assert on_zero_gpu(sing) is sing


def test_training_is_refused_with_the_reason(zero_gpu, store, dataset, queue):
    planning = PlanningService(store, BUNDLED, None)
    for ask in (lambda: queue.start(dataset.id), lambda: queue.resume("any"), lambda: planning.estimate(dataset.id)):
        with pytest.raises(InvalidInputError, match="cannot run on ZeroGPU") as caught:
            ask()
        assert "hardware of its own" in caught.value.hint


@pytest.mark.parametrize(
    ("environ", "data_dir", "expected"),
    [
        ({}, "/home/me/data", False),
        ({"SPACE_ID": "me/studio"}, "/home/user/app/backend/data", True),
        ({"SPACE_ID": "me/studio"}, "/data", False),
        ({"SPACE_ID": "me/studio"}, "/data/studio", False),
    ],
)
def test_a_space_forgets_what_lies_outside_its_storage(environ, data_dir, expected):
    assert forgets_data(Path(data_dir), environ) is expected
