"""Linear layers in four bits."""

import pytest
import torch
from torch import nn

from heartmula_studio.arch.nf4 import fits_nf4, move_in_nf4, nf4_bytes

CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({name: nn.Linear(256, 128, bias=False) for name in ("w1", "head")})


def test_only_the_named_layers_are_changed_and_stay_close(model):
    before = {name: layer.weight.detach().clone() for name, layer in model.items()}
    move_in_nf4(model, ("w1",), CPU)
    assert torch.equal(model["head"].weight, before["head"])
    four_bits = model["w1"].weight.to(torch.float32)
    assert not torch.equal(four_bits, before["w1"])
    error = (four_bits - before["w1"]).square().mean() / before["w1"].square().mean()
    assert error < 0.02  # four bits for uniform values: a step is about an eighth of the largest


def test_gradients_go_through_and_not_in(model):
    move_in_nf4(model, ("w1",), CPU)
    heard = torch.randn(3, 256, requires_grad=True)
    model["w1"](heard).sum().backward()
    assert torch.allclose(heard.grad, model["w1"].weight.to(torch.float32).sum(0).expand(3, -1), atol=1e-5)
    assert not model["w1"].weight.requires_grad


def test_bytes_are_counted_as_they_are(model):
    move_in_nf4(model, ("w1",), CPU)
    names, _ = model["w1"].weight.__tensor_flatten__()
    tensors = {name: getattr(model["w1"].weight, name) for name in names}
    shared = ("nf4", "scaler_mean")  # sixteen values and one, whatever the weight's size
    taken = sum(tensor.nbytes for name, tensor in tensors.items() if name not in shared)
    assert taken == nf4_bytes((128, 256))


def test_a_weight_without_whole_blocks_is_left_as_it_is():
    odd = nn.ModuleDict({"w1": nn.Linear(65, 3, bias=False)})
    assert not fits_nf4(odd["w1"].weight.shape)
    before = odd["w1"].weight.detach().clone()
    move_in_nf4(odd, ("w1",), CPU)
    assert torch.equal(odd["w1"].weight, before)
