"""The optimizer of weights in 16 bits against AdamW in float32, and its gradients against those left in place."""

import io

import pytest
import torch
from torch import Tensor, nn

from heartmula_studio.finetune import quantization
from heartmula_studio.finetune.adam8bit import EXP_AVG, EXP_AVG_SQ_ROOT, Adam8bit, moments_bytes, read_moment

BETAS = (0.9, 0.95)
SHAPE = (16, 1024)
RATE = 1e-3


def weights(shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.bfloat16) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16().to(dtype))


def adam(*parameters: nn.Parameter, rate: float = RATE, weight_decay: float = 0.0) -> Adam8bit:
    return Adam8bit([{"params": list(parameters), "weight_decay": weight_decay}], lr=rate, betas=BETAS)


def gradients(steps: int, spread: float = 0.0, shape: tuple[int, ...] = SHAPE) -> list[Tensor]:
    """Noisy, with a direction; their sizes differ by e**spread from weight to weight."""
    generator = torch.Generator().manual_seed(2)
    sizes = 1e-2 * torch.exp(spread * torch.randn(shape, generator=generator))
    return [(sizes * (torch.randn(shape, generator=generator) + 0.3)).bfloat16() for _ in range(steps)]


def backward(parameter: nn.Parameter, gradient: Tensor) -> None:
    (parameter * gradient).sum().backward()


def take_steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, steps: list[Tensor]) -> None:
    for gradient in steps:
        backward(parameter, gradient)
        optimizer.step()
        optimizer.zero_grad()


def both(steps: list[Tensor], weight_decay: float = 0.0) -> tuple[Adam8bit, torch.optim.AdamW]:
    """Ours and AdamW in float32 after the same steps; their weights are in their only group."""
    torch.manual_seed(0)
    ours, theirs = weights(), weights(dtype=torch.float32)
    made = adam(ours, weight_decay=weight_decay)
    reference = torch.optim.AdamW([theirs], lr=RATE, betas=BETAS, weight_decay=weight_decay)
    take_steps(made, ours, steps)
    take_steps(reference, theirs, steps)
    return made, reference


def parameter_of(optimizer: torch.optim.Optimizer) -> nn.Parameter:
    return optimizer.param_groups[0]["params"][0]


def tensors_of(optimizer: Adam8bit) -> dict[str, Tensor]:
    state = optimizer.state[parameter_of(optimizer)]
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def distance(one: Tensor, other: Tensor) -> float:
    """The size of the difference, as a share of `other`."""
    return ((one - other).norm() / other.norm()).item()


class TestSteps:
    @pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
    def test_moments_are_nearly_those_of_adamw_in_float32(self, spread):
        made, reference = both(gradients(60, spread))
        state, expected = made.state[parameter_of(made)], reference.state[parameter_of(reference)]
        everything = slice(0, SHAPE[0] * SHAPE[1])
        assert distance(read_moment(state, EXP_AVG, everything), expected["exp_avg"].flatten()) < 0.04
        assert distance(read_moment(state, EXP_AVG_SQ_ROOT, everything), expected["exp_avg_sq"].sqrt().flatten()) < 0.03

    @pytest.mark.parametrize(("weight_decay", "spread"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
    def test_weights_go_where_adamw_takes_them(self, weight_decay, spread):
        made, reference = both(gradients(200, spread), weight_decay)
        moved = parameter_of(made).float() - weights().float()
        expected = parameter_of(reference) - weights().float()
        # Each weight is off by chance; what all of them did together is not.
        assert ((moved * expected).sum() / expected.square().sum()).item() == pytest.approx(1, abs=0.02)

    @pytest.mark.parametrize("every", [1, 10])
    def test_no_step_is_far_larger_than_the_rate(self, every):
        """Not beside gradients thousands of times as large, nor while a row that was used has no gradient any more."""
        steps = [gradient if number % every == 0 else 0 * gradient for number, gradient in enumerate(gradients(40, 3))]
        parameter = nn.Parameter(torch.zeros(SHAPE, dtype=torch.bfloat16))
        optimizer = adam(parameter)
        for gradient in steps:
            before = parameter.detach().clone()
            take_steps(optimizer, parameter, [gradient])
            assert (parameter - before).abs().max() < 10 * RATE

    def test_thousandths_of_a_rounding_step_arrive_in_the_mean(self):
        """All weights are 1, and each step takes them down by 1/1000 of the way to the next number below."""
        torch.manual_seed(0)
        step_below = 2.0**-8
        parameter = nn.Parameter(torch.ones(SHAPE, dtype=torch.bfloat16))
        optimizer = adam(parameter, rate=step_below / 1000)
        assert torch.tensor(1 - step_below / 1000).bfloat16() == 1
        take_steps(optimizer, parameter, [torch.ones(SHAPE, dtype=torch.bfloat16)] * 50)
        assert (1 - parameter.float().mean()).item() / step_below == pytest.approx(0.050, rel=0.15)

    def test_a_weight_without_a_gradient_stays(self):
        used, unused = weights(), weights()
        optimizer = adam(used, unused, weight_decay=1.0)
        take_steps(optimizer, used, gradients(2))
        assert torch.equal(unused, weights())
        assert not torch.equal(used, weights())

    def test_a_tensor_in_pieces_has_the_moments_of_a_whole_one(self, monkeypatch):
        whole, _ = both(gradients(3))
        monkeypatch.setattr(quantization, "CHUNK", 3 * quantization.BLOCK)
        cut, _ = both(gradients(3))
        expected = whole.state[parameter_of(whole)]
        assert {name: torch.equal(tensor, expected[name]) for name, tensor in tensors_of(cut).items()} == {
            "mean": True,
            "mean_scales": True,
            "root": True,
            "root_scales": True,
        }


class TestState:
    @pytest.mark.parametrize(
        ("shape", "num_bytes"), [(SHAPE, 2 * (16384 + 4 * 64)), ((64, 62), 8 * 3968), ((7, 999), 8 * 6993)]
    )
    def test_its_moments_take_what_was_counted(self, shape, num_bytes):
        """Large tensors a byte for each value and a scale for each block; small and odd ones float32."""
        parameter = weights(shape)
        optimizer = adam(parameter)
        take_steps(optimizer, parameter, gradients(1, shape=shape))
        held = sum(tensor.nbytes for tensor in tensors_of(optimizer).values())
        assert held == moments_bytes(shape) == num_bytes

    @pytest.mark.parametrize("shape", [SHAPE, (64, 62)])
    def test_saved_and_loaded_it_goes_on_as_it_would_have(self, shape):
        steps = gradients(6, shape=shape)
        parameter = weights(shape)
        optimizer = adam(parameter)
        take_steps(optimizer, parameter, steps[:3])
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        again = nn.Parameter(parameter.detach().clone())
        resumed = adam(again, rate=0.5)
        resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
        for one, weight in ((optimizer, parameter), (resumed, again)):
            torch.manual_seed(7)
            take_steps(one, weight, steps[3:])
        assert torch.equal(again, parameter)
        assert resumed.state[again]["step"] == 6


class TestGradients:
    def test_they_leave_the_weights_at_once(self):
        parameter = weights()
        optimizer = adam(parameter)
        backward(parameter, gradients(1)[0])
        assert parameter.grad is None
        held = optimizer.gradients.read(parameter, slice(0, parameter.numel()))
        assert torch.equal(held, gradients(1)[0].flatten().float())

    @pytest.mark.parametrize("limit", [0.1, 1e9])
    def test_clipping_is_that_of_torch(self, limit):
        shapes = (SHAPE, (64,), (7, 999))
        ours, theirs = [weights(shape) for shape in shapes], [weights(shape, torch.float32) for shape in shapes]
        optimizer = adam(*ours)
        for parameter in (*ours, *theirs):
            backward(parameter, gradients(1, shape=tuple(parameter.shape))[0])
        expected = torch.nn.utils.clip_grad_norm_(theirs, limit).item()
        assert optimizer.gradients.clip(limit) == pytest.approx(expected, rel=1e-5)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(optimizer.gradients.read(one, slice(0, one.numel())), other.grad.flatten())

    def test_those_of_several_ways_back_are_added_up_without_losing_small_ones(self):
        """A gradient of 1, then a hundred of 1/1000 each: none would count beside the 1 in bfloat16."""
        torch.manual_seed(0)
        parameter = weights()
        optimizer = adam(parameter)
        for size in (1.0, *[0.001] * 100):
            backward(parameter, torch.full(SHAPE, size, dtype=torch.bfloat16))
        held = optimizer.gradients.read(parameter, slice(0, parameter.numel()))
        assert held.mean().item() == pytest.approx(1.1, rel=0.005)
        assert optimizer.gradients.clip(1e9) == pytest.approx(held.norm().item(), rel=1e-5)

    def test_the_next_step_begins_with_none(self):
        parameter = weights()
        optimizer = adam(parameter)
        backward(parameter, gradients(1)[0])
        optimizer.gradients.clip(0.1)
        optimizer.zero_grad()
        assert parameter not in optimizer.gradients
        backward(parameter, gradients(2)[1])
        held = optimizer.gradients.read(parameter, slice(0, parameter.numel()))
        assert torch.equal(held, gradients(2)[1].flatten().float())
