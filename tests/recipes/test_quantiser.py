"""Codebooks that each tell of one register."""

import pytest
import torch

from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME
from recipes.nano.sizes import CODEBOOK_SIZE, LEVELS, NUM_FEATURES, TOLD_FROM_NOTES, TONES, registers
from recipes.nano.train_quantiser import k_means, learn

BASS = 6


@pytest.fixture(scope="module")
def learnt():
    """Encoder and quantiser that know 40 s of random levels."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.rand(5, TONES.num_levels, 100 * LEVELS_PER_FRAME, generator=generator).square()
    return levels, *learn(levels, generator)


def test_each_feature_is_told_by_one_codebook():
    places = torch.cat([torch.arange(NUM_FEATURES)[register] for register in registers()])
    assert places.sort().values.tolist() == list(range(NUM_FEATURES))


def test_a_louder_bass_changes_the_code_of_the_bass_alone(learnt):
    levels, encoder, quantiser = learnt
    louder = levels.clone()
    louder[:, : TOLD_FROM_NOTES[1] - TONES.lowest_note] += 0.5
    changed = [quantiser.encode(encoder.features(some)) for some in (levels, louder)]
    # Groups of tones that move together lie across registers, and a louder one moves less.
    differs = (changed[0] != changed[1]).float().mean((0, 1))
    assert differs[BASS] > 0.5
    assert differs[:BASS].tolist() == [0.0] * BASS


def test_codewords_are_spread_over_what_was_heard(learnt):
    levels, encoder, quantiser = learnt
    features = encoder.features(levels)
    codes = quantiser.encode(features)
    assert [level.unique().numel() for level in codes.unbind(-1)] == [CODEBOOK_SIZE] * LEVELS.num_quantizers
    left = encoder.with_mean(levels) - quantiser.decode(codes)
    for register in registers():
        assert left[..., register].square().sum() < 0.95 * features[..., register].square().sum()


def test_what_counts_more_draws_a_mean_nearer():
    points, counts = torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 3.0])
    assert k_means(points, counts, 1, torch.Generator().manual_seed(0)).item() == pytest.approx(0.75)
