import pytest
import torch

from heartmula_studio.dataset.batch import Batch, make_example
from heartmula_studio.errors import CheckpointMismatchError

TAGS = "Piano,Happy,Wedding"
LYRICS = "[Verse]\nThe sun creeps in across the floor\n[Chorus]\nEvery day"


def random_codes(num_frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 128, (8, num_frames), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits_of(model, batch: Batch) -> torch.Tensor:
    """[N, K, V] teacher-forced logits."""
    codebook0, depth = model(
        batch.tokens, batch.mask, batch.muq_positions, batch.unconditional, batch.predict, batch.targets
    )
    return torch.cat((codebook0, depth), dim=1)


@pytest.mark.parametrize("ends_song", [True, False])
def test_training_layout_reproduces_the_golden_generation_logits(layout, golden, golden_heartmula, ends_song):
    example = make_example(layout.build(TAGS, LYRICS), golden["codes"].T, layout.special, ends_song)
    logits = logits_of(golden_heartmula, Batch.collate([example]))
    assert len(logits) == 6 + ends_song
    torch.testing.assert_close(logits[:6], golden["logits.cfg1"], atol=2e-4, rtol=0)


def test_training_layout_reproduces_golden_guidance(layout, golden, golden_heartmula):
    """The unconditional row of guidance is the conditioning dropout of training."""
    example = make_example(layout.build(TAGS, LYRICS), golden["codes"].T, layout.special, ends_song=False)
    batch = Batch.collate([example, example])
    batch.unconditional[1] = True
    conditional, unconditional = logits_of(golden_heartmula, batch).chunk(2)
    guided = unconditional + (conditional - unconditional) * 1.5
    torch.testing.assert_close(guided, golden["logits.cfg1.5"], atol=2e-4, rtol=0)


def test_padding_and_neighbours_change_no_logit(layout, golden_heartmula):
    shapes = [("rock", "", 3, True), (TAGS, LYRICS, 20, False), ("a", "one line", 1, True)]
    examples = [
        make_example(layout.build(tags, lyrics), random_codes(n, seed), layout.special, ends)
        for seed, (tags, lyrics, n, ends) in enumerate(shapes)
    ]
    alone = torch.cat([logits_of(golden_heartmula, Batch.collate([example])) for example in examples])
    together = logits_of(golden_heartmula, Batch.collate(examples))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_each_position_predicts_the_frame_that_follows_it(layout):
    prompt, codes = layout.build(TAGS, LYRICS), random_codes(5)
    example = make_example(prompt, codes, layout.special, ends_song=False)
    P = len(prompt.tokens)
    assert example.first_prediction == P - 1
    assert torch.equal(example.targets, codes.T)
    assert torch.equal(example.tokens[:P], prompt.tokens)
    assert torch.equal(example.tokens[P:, :-1], codes.T[:-1])
    assert torch.equal(example.mask[P:, :-1], torch.ones(4, 8, dtype=torch.bool))
    assert not example.mask[P:, -1].any()


def test_only_the_end_of_a_song_has_an_end_frame(layout):
    prompt, codes = layout.build(TAGS, LYRICS), random_codes(5)
    example = make_example(prompt, codes, layout.special, ends_song=True)
    assert example.targets[-1].tolist() == [layout.special.audio_eos_id] * 8
    assert torch.equal(example.targets[:-1], codes.T)
    assert torch.equal(example.tokens[len(prompt.tokens) :, :-1], codes.T)


def test_collate_counts_predictions_in_row_major_order(layout):
    short, long = layout.build("", ""), layout.build(TAGS, LYRICS)
    first = make_example(short, random_codes(3), layout.special, ends_song=True)
    second = make_example(long, random_codes(2, seed=1).short(), layout.special, ends_song=False)
    batch = Batch.collate([first, second])
    S = max(len(first.tokens), len(second.tokens))
    assert batch.tokens.shape == batch.mask.shape == (2, S, 9)
    assert (batch.tokens.dtype, batch.targets.dtype) == (torch.int64, torch.int64)
    assert (batch.mask.dtype, batch.predict.dtype) == (torch.bool, torch.bool)
    assert len(batch.targets) == int(batch.predict.sum()) == 6
    assert batch.predict.sum(dim=1).tolist() == [4, 2]
    assert batch.predict[1].nonzero().flatten().tolist() == [len(long.tokens) - 1, len(long.tokens)]
    assert torch.equal(batch.targets, torch.cat((first.targets, second.targets)))
    assert batch.muq_positions.tolist() == [short.muq_index, long.muq_index]
    assert batch.unconditional.tolist() == [False, False]
    assert not batch.mask[0, len(first.tokens) :].any()


def test_to_moves_every_tensor(layout):
    example = make_example(layout.build("", ""), random_codes(3), layout.special, ends_song=True)
    batch = Batch.collate([example]).to("meta")
    assert {tensor.device.type for tensor in vars(batch).values()} == {"meta"}


def test_the_longest_example_takes_exactly_the_positions_its_prompt_counts(layout):
    """The end frame is predicted and never read, so it takes no position."""
    prompt = layout.build(TAGS, LYRICS)
    example = make_example(prompt, random_codes(5), layout.special, ends_song=True)
    assert len(example.tokens) == prompt.num_positions(5)


@pytest.mark.parametrize(
    "codes", [torch.full((8, 4), 130), torch.full((8, 4), -1), torch.zeros(4, 4, dtype=torch.int64)]
)
def test_codes_of_another_codec_are_refused_with_their_song(layout, codes):
    with pytest.raises(CheckpointMismatchError, match="Aria"):
        make_example(layout.build("", ""), codes, layout.special, ends_song=True, song="Aria")
