import pytest
import torch


@pytest.mark.parametrize("cfg_scale", [1, 1.5])
def test_logits_are_the_golden_ones(golden_heartmula, golden, forced_logits, cfg_scale):
    logits = forced_logits(golden_heartmula, cfg_scale)
    torch.testing.assert_close(logits, golden[f"logits.cfg{cfg_scale}"], atol=2e-4, rtol=0)


def test_cached_logits_equal_those_of_training(golden_heartmula, forced_logits, uncached_logits):
    codes = torch.randint(0, 128, (40, 8), generator=torch.Generator().manual_seed(0))
    for cfg_scale in (1.0, 1.5):
        expected = uncached_logits(golden_heartmula, cfg_scale, codes)
        torch.testing.assert_close(forced_logits(golden_heartmula, cfg_scale, codes), expected, atol=4e-5, rtol=0)
