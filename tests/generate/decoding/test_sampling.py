import pytest
import torch

from heartmula_studio.generate.decoding.sampling import (
    AudioVocabulary,
    apply_cfg,
    sample_top_k,
    sampling_noise,
    valid_token_mask,
)

CPU = torch.device("cpu")
OFFICIAL = AudioVocabulary(codebook_size=8192, end_id=8193)


def test_guidance_moves_from_the_unconditional_through_the_conditional_logits():
    logits = torch.tensor([[1.0, 5.0], [3.0, 1.0]])
    assert apply_cfg(logits, torch.tensor([[1.0]])).tolist() == [[1.0, 5.0]]
    assert apply_cfg(logits, torch.tensor([[1.5]])).tolist() == [[0.0, 7.0]]
    assert apply_cfg(logits[:1], torch.tensor([[1.0]])).tolist() == [[1.0, 5.0]]


def test_each_song_has_its_own_guidance():
    logits = torch.tensor([[1.0, 5.0], [1.0, 5.0], [3.0, 1.0], [3.0, 1.0]])
    assert apply_cfg(logits, torch.tensor([[1.0], [1.5]])).tolist() == [[1.0, 5.0], [0.0, 7.0]]


def test_only_codes_and_the_end_are_allowed():
    """The official vocabulary has 8197 ids, of which 8192 is neither a code nor the end (8193)."""
    codes, codes_and_end = valid_token_mask(8197, OFFICIAL, CPU)
    assert codes_and_end.nonzero().flatten().tolist() == [*range(8192), 8193]
    assert codes.nonzero().flatten().tolist() == [*range(8192)]


def test_forbidden_ids_are_never_drawn_however_likely():
    logits = torch.zeros(20)
    logits[[15, 17]] = 100.0
    allowed = valid_token_mask(20, AudioVocabulary(10, 16), CPU)[0]
    ids = {sample_top_k(logits, allowed, u, 1.0, 20).item() for u in torch.linspace(0, 0.9999999, 101)}
    assert ids == set(range(10))


def test_only_the_most_likely_k_are_drawn():
    logits = torch.tensor([0.0, 3.0, 1.0, 2.0])
    ids = {
        sample_top_k(logits, torch.ones(4, dtype=torch.bool), u, 5.0, 2).item()
        for u in torch.linspace(0, 0.9999999, 101)
    }
    assert ids == {1, 3}


def test_frequencies_follow_the_softmax_at_the_temperature():
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0])
    allowed = torch.ones(4, dtype=torch.bool)
    uniform = sampling_noise(seed=3, num_frames=4000, num_codebooks=1).flatten()
    ids = torch.stack([sample_top_k(logits, allowed, u, 0.7, 4) for u in uniform])
    frequencies = torch.bincount(ids, minlength=4) / len(ids)
    torch.testing.assert_close(frequencies, (logits / 0.7).softmax(-1), atol=0.02, rtol=0)


def test_songs_side_by_side_are_drawn_as_alone():
    generator = torch.Generator().manual_seed(0)
    logits, uniform = torch.randn(3, 20, generator=generator), torch.rand(3, generator=generator)
    allowed, temperatures = torch.ones(20, dtype=torch.bool), torch.tensor([[0.5], [1.0], [2.0]])
    together = sample_top_k(logits, allowed, uniform, temperatures, 10)
    alone = [sample_top_k(logits[n], allowed, uniform[n], temperatures[n].item(), 10) for n in range(3)]
    assert together.tolist() == [code.item() for code in alone]


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2**-24])
@pytest.mark.parametrize("topk", [1, 50, 8192])
def test_the_ends_of_the_unit_interval_stay_in_range(uniform, topk):
    logits = torch.randn(8197, generator=torch.Generator().manual_seed(0))
    allowed = valid_token_mask(8197, OFFICIAL, CPU)[1]
    drawn = sample_top_k(logits, allowed, torch.tensor(uniform), 1.0, topk).item()
    assert drawn in logits.masked_fill(~allowed, -torch.inf).topk(topk).indices


def test_a_seed_gives_the_same_draws_and_a_longer_song_begins_alike():
    assert torch.equal(sampling_noise(7, 50, 8)[:20], sampling_noise(7, 20, 8))
    assert not torch.equal(sampling_noise(7, 20, 8), sampling_noise(8, 20, 8))
    assert sampling_noise(7, 50, 8).min() >= 0
    assert sampling_noise(7, 50, 8).max() < 1
