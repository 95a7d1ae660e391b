"""Full precision while anybody needs it, and not longer."""

import threading

import pytest
import torch

from heartmula_studio.codec.control import full_precision


def tf32() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def set_tf32(matmul: bool, cudnn: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


@pytest.fixture(autouse=True)
def tf32_on():
    before = tf32()
    set_tf32(True, True)
    yield
    set_tf32(*before)


def test_tf32_is_off_inside_and_as_before_afterwards():
    with full_precision():
        assert tf32() == (False, False)
        with full_precision():
            pass
        assert tf32() == (False, False)
    assert tf32() == (True, True)


def test_failure_inside_restores_tf32():
    with pytest.raises(RuntimeError), full_precision():
        raise RuntimeError
    assert tf32() == (True, True)


def test_autocast_is_off_inside():
    with torch.autocast("cpu", dtype=torch.bfloat16), full_precision():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_overlapping_threads_share_the_flags():
    """The one that came first and leaves first must not switch TF32 on for the other, nor the other leave it off."""
    second_is_in, first_is_out = threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        with full_precision():
            second_is_in.set()
            first_is_out.wait()
            seen.append(tf32())

    thread = threading.Thread(target=second)
    with full_precision():
        thread.start()
        second_is_in.wait()
    first_is_out.set()
    thread.join()
    assert seen == [(False, False)]
    assert tf32() == (True, True)
