import pytest
import torch

from heartmula_studio.dataset.batch import Batch, make_example
from heartmula_studio.dataset.prompt import SpecialTokens


@pytest.mark.parametrize("cfg_scale", [1, 1.5])
def test_logits_are_the_golden_ones(golden_heartmula, golden, forced_logits, cfg_scale):
    logits = forced_logits(golden_heartmula, cfg_scale)
    torch.testing.assert_close(logits, golden[f"logits.cfg{cfg_scale}"], atol=2e-4, rtol=0)


def test_cached_logits_equal_those_of_training(golden_heartmula, golden, prompt, forced_logits):
    """Without a cache, over the whole song at once, through the training layout and the network's forward."""
    special = SpecialTokens(text_bos_id=331, text_eos_id=332, audio_eos_id=130, empty_id=0)
    codes = torch.randint(0, 128, (8, 40), generator=torch.Generator().manual_seed(0))
    batch = Batch.collate([make_example(prompt, codes, special, ends_song=False)])
    unconditional = torch.tensor([False])
    with torch.inference_mode():
        first, others = golden_heartmula(
            batch.tokens, batch.mask, batch.muq_positions, unconditional, batch.predict, batch.targets
        )
    uncached = torch.cat([first, others], dim=1)
    torch.testing.assert_close(forced_logits(golden_heartmula, 1.0, codes.T), uncached, atol=2e-5, rtol=0)
