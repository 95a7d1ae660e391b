"""Numbers in fewer bits: what is rounded by chance is right in the mean, what is coded is right within half a step."""

import pytest
import torch
from torchao.optim.quant_utils import create_dynamic_map, quantize_8bit_with_qmap, scale_tensor

from heartmula_studio.finetune.quantization import BLOCK, chunks, dequantize, quantize, stochastic_round

STEP = 2.0**-7  # from 1 to the next number in bfloat16


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("share", [0.001, 0.3])
def test_parts_of_a_step_arrive_in_the_mean(sign, share):
    torch.manual_seed(0)
    values = torch.full((1 << 20,), sign * (1 + share * STEP))
    assert (values.bfloat16() == sign).all()
    rounded = stochastic_round(values).float()
    assert set(rounded.abs().unique().tolist()) == {1.0, 1 + STEP}
    assert (sign * rounded.mean() - 1).item() / STEP == pytest.approx(share, rel=0.1)


def test_what_bfloat16_holds_stays_as_it_is():
    values = torch.randn(10_000).bfloat16()
    assert torch.equal(stochastic_round(values.float()), values)
    assert stochastic_round(torch.tensor([0.0, -0.0, float("inf")])).tolist() == [0.0, 0.0, float("inf")]


def test_codes_are_those_of_torchao():
    values = torch.randn(64 * BLOCK, generator=torch.Generator().manual_seed(0))
    codes, scales = quantize(values, signed=True)
    scaled, expected_scales = scale_tensor(values, BLOCK)
    expected = quantize_8bit_with_qmap(scaled, torch.tensor(create_dynamic_map(signed=True)))
    assert torch.equal(codes, expected)
    assert torch.equal(scales, expected_scales)


@pytest.mark.parametrize("signed", [True, False])
def test_large_values_of_a_block_are_right_within_a_few_percent_and_no_block_spoils_another(signed):
    values = torch.randn(4 * BLOCK, generator=torch.Generator().manual_seed(0))
    values = values if signed else values.abs()
    values *= torch.tensor([1.0, 1e-6, 1e6, 1.0]).repeat_interleave(BLOCK)
    values[-BLOCK:] = 0
    again = dequantize(*quantize(values, signed), signed)
    large = values.abs() > 0.1 * values.view(4, -1).abs().amax(1).repeat_interleave(BLOCK)
    assert large.float().mean() > 0.5
    assert ((again - values).abs() <= 0.075 * values.abs())[large].all()
    assert (again[-BLOCK:] == 0).all()


def test_without_a_sign_nothing_beside_a_large_value_becomes_zero():
    values = torch.full((BLOCK,), 1e-12)
    values[0] = 1.0
    assert (dequantize(*quantize(values, signed=False), signed=False) > 0).all()


def test_pieces_are_all_of_it():
    cut = list(chunks((1 << 23) + 5))
    assert [piece.stop for piece in cut] == [1 << 22, 1 << 23, (1 << 23) + 5]
    assert [piece.start for piece in cut] == [0, 1 << 22, 1 << 23]
