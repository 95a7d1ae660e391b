import math

import pytest
import torch

from heartmula_studio.finetune.loss import LossParts, cross_entropy_sums


def frame_loss(codebook0: torch.Tensor, depth: torch.Tensor, targets: torch.Tensor, rows=slice(None)) -> LossParts:
    """The loss of logits [N, V] of codebook 0 and [M, K-1, V] of the others, on the `rows` of the targets [N, K]."""
    sums = cross_entropy_sums(codebook0[:, None], targets[:, :1]), cross_entropy_sums(depth, targets[rows, 1:])
    counts = torch.tensor([len(codebook0)] + [len(depth)] * depth.shape[1])
    return LossParts(torch.cat(sums), counts)


def logits_giving(probability: float, target: int, vocabulary: int = 3) -> torch.Tensor:
    """Logits [V] whose softmax gives `target` that probability and the others the rest in equal shares."""
    probabilities = torch.full((vocabulary,), (1 - probability) / (vocabulary - 1))
    probabilities[target] = probability
    return probabilities.log()


def test_equals_hand_computed_cross_entropy():
    targets = torch.tensor([[0, 1, 2], [1, 1, 0]])  # N = 2 frames, K = 3 codebooks
    codebook0 = torch.stack([logits_giving(0.5, 0), logits_giving(0.25, 1)])
    depth = torch.stack(
        [
            torch.stack([logits_giving(0.1, 1), logits_giving(0.2, 2)]),
            torch.stack([logits_giving(0.4, 1), logits_giving(0.8, 0)]),
        ]
    )
    parts = frame_loss(codebook0, depth, targets)
    expected = [-math.log(0.5 * 0.25) / 2, -math.log(0.1 * 0.4) / 2, -math.log(0.2 * 0.8) / 2]
    assert parts.per_codebook().tolist() == pytest.approx(expected, abs=1e-6)
    assert parts.total().item() == pytest.approx(sum(expected) / 3, abs=1e-6)


def test_every_codebook_weighs_the_same_when_the_depth_decoder_sees_one_frame_in_two():
    targets = torch.tensor([[0, 1, 2], [1, 1, 0]])
    codebook0 = torch.stack([logits_giving(0.5, 0), logits_giving(0.25, 1)])
    depth = torch.stack([torch.stack([logits_giving(0.4, 1), logits_giving(0.8, 0)])])
    parts = frame_loss(codebook0, depth, targets, torch.tensor([1]))
    expected = [-math.log(0.5 * 0.25) / 2, -math.log(0.4), -math.log(0.8)]
    assert parts.counts.tolist() == [2, 1, 1]
    assert parts.per_codebook().tolist() == pytest.approx(expected, abs=1e-6)


def test_parts_of_a_batch_add_up_to_the_whole_also_when_they_differ_in_length():
    torch.manual_seed(0)
    targets = torch.randint(0, 5, (7, 8))
    codebook0, depth = torch.randn(7, 5), torch.randn(7, 7, 5)
    whole = frame_loss(codebook0, depth, targets)
    counts = whole.counts
    halves = [frame_loss(codebook0[s], depth[s], targets[s]).total(counts) for s in (slice(0, 2), slice(2, 7))]
    assert sum(halves).item() == pytest.approx(whole.total().item(), abs=1e-6)


def test_confident_and_right_is_free():
    targets = torch.tensor([[0, 2]])
    sure = torch.full((3,), -1e4)
    codebook0, depth = sure.clone()[None], sure.clone()[None, None]
    codebook0[0, 0] = depth[0, 0, 2] = 1e4
    assert frame_loss(codebook0, depth, targets).total().item() == 0


def test_half_precision_logits_are_scored_in_float32():
    targets = torch.zeros(3000, 2, dtype=torch.int64)
    parts = frame_loss(torch.zeros(3000, 8197).bfloat16(), torch.zeros(3000, 1, 8197).bfloat16(), targets)
    assert parts.sums.dtype == torch.float32
    assert parts.per_codebook().tolist() == pytest.approx([math.log(8197)] * 2, rel=1e-5)


def test_shapes_that_do_not_fit_are_a_programming_error():
    with pytest.raises(AssertionError):
        frame_loss(torch.zeros(2, 3), torch.zeros(2, 2, 3), torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(AssertionError):
        frame_loss(torch.zeros(3, 3), torch.zeros(3, 1, 3), torch.zeros(3, 3, dtype=torch.int64))
