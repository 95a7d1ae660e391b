"""Products in float32, by whichever library is faster on this processor."""

import pytest
import torch

from heartmula_studio.arch.float32_linear import FEW_ROWS, HAS_ONEDNN, Float32Linear, onednn_product


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, FEW_ROWS + 1, 300])
def test_outputs_are_those_of_a_linear_layer(rows):
    layer = Float32Linear(96, 160)
    x = torch.randn(2, rows, 96)
    expected = (x.double() @ layer.weight.double().T).float()
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not HAS_ONEDNN, reason="oneDNN is not what computes here")
@torch.no_grad()
def test_a_product_takes_tensors_as_they_lie():
    x, weight = torch.randn(96, 70).T, torch.randn(96, 160).T
    torch.testing.assert_close(onednn_product(x, weight), x @ weight.T, atol=1e-4, rtol=1e-5)
