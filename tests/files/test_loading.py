"""What libraries bring is kept from the garbage collector."""

import gc
import sys

import pytest

from heartmula_studio.files.loading import loading

LIBRARY = "a_library_of_its_own"


@pytest.fixture
def library(tmp_path, monkeypatch):
    (tmp_path / f"{LIBRARY}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(LIBRARY, None)


def test_while_a_library_is_loaded_nothing_is_collected_and_it_stays_out_afterwards(library):
    before = gc.get_freeze_count()
    with loading():
        __import__(LIBRARY)
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


def test_where_nothing_was_loaded_nothing_more_is_kept():
    before = gc.get_freeze_count()
    with loading():
        some = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() < before + len(some)


def test_an_error_leaves_it_on():
    with pytest.raises(ModuleNotFoundError), loading():
        __import__("no such library")
    assert gc.isenabled()
