"""How tests are shared among processes, and what many tests need: the golden numbers, their models, a server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests fill the cores by running beside each other; more threads than cores would make each many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil
import pytest

from tests.studio_server import MAX_UPLOAD_BYTES, Server, running_server

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
MAX_WORKERS = 4  # each holds a gigabyte or two

# These begin before all others, so that no worker is still at one when the rest have nothing left to do.
LONG_FILES = ("test_recovery.py", "test_workers.py", "test_demo.py", "test_codec.py", "test_guide.py", "test_resume.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores: tests with a browser or a server wait for them half of the time.

    No workers where only files are named: they take longer to begin than most files take to run.
    """
    are_files = all(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    return 0 if are_files else min(psutil.cpu_count() + 1, MAX_WORKERS)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name in LONG_FILES or item.path.parent.name == "e2e":
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """For all tests that only need some server; each finds there what others have left."""
    data_dir = tmp_path_factory.mktemp("studio") / "data"
    with running_server(data_dir, HEARTMULA_MAX_UPLOAD_BYTES=str(MAX_UPLOAD_BYTES)) as server:
        yield server


# What these load is imported only here: tests of light parts need none of it, and it takes seconds.


@pytest.fixture(scope="session")
def golden() -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="session")
def golden_encoder() -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    return load_file(GOLDEN / "expected_encoder.safetensors")


@pytest.fixture
def golden_heartmula():
    from heartmula_studio.arch.checkpoints import load_heartmula

    return load_heartmula(GOLDEN / "heartmula")


@pytest.fixture(scope="session")
def golden_heartcodec():
    from heartmula_studio.arch.checkpoints import load_heartcodec

    return load_heartcodec(GOLDEN / "heartcodec")
