"""The Triton kernels against plain PyTorch: on a GPU where there is one, else in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="Triton comes with PyTorch for CUDA only")
CHECKS = Path(__file__).parent / "kernels_in_python.py"


@pytest.mark.long
def test_kernels_compute_what_pytorch_does():
    """In a process of its own, because the interpreter is chosen when Triton is loaded."""
    environment = os.environ | {"PYTHONPATH": str(CHECKS.parents[3])}
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run([sys.executable, CHECKS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
