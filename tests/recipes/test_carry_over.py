"""A language model that is carried over to other codes."""

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.settings import BUNDLED_BASE
from recipes.nano.carry_over import SharedFrames, carry_over

SIZE, NUM_CODEBOOKS, NUM_FRAMES = 256, 8, 6


def logits(model: HeartMuLa, codes: Tensor) -> Tensor:
    """What the frames [T, K] that come first tell of each next one: [T - 1, K, codes and other ids]."""
    hidden = model.backbone(model.embed_frame(codes[None, :-1]))[0]
    depth = model.depth_logits(model.aligned_head(), model.depth_hidden(hidden, codes[1:]))
    return torch.cat((model.first_logits(hidden), depth), dim=1)


def bundled_model() -> HeartMuLa:
    return load_heartmula(find_base(BUNDLED_BASE).model).eval().requires_grad_(False)


def test_codes_that_only_have_other_numbers_are_known_as_before():
    generator = torch.Generator().manual_seed(0)
    other_numbers = torch.stack([torch.randperm(SIZE, generator=generator) for _ in range(NUM_CODEBOOKS)])
    frames, model = SharedFrames(NUM_CODEBOOKS, SIZE), bundled_model()
    frames.add(other_numbers, torch.arange(SIZE).expand(NUM_CODEBOOKS, -1))
    codes = torch.randint(SIZE, (NUM_FRAMES, NUM_CODEBOOKS), generator=generator)
    before = logits(model, codes)
    carry_over(model, frames)
    after = logits(model, other_numbers.mT.gather(0, codes))
    of_same_code = after[..., :SIZE].gather(-1, other_numbers.expand(NUM_FRAMES - 1, -1, -1))
    torch.testing.assert_close(of_same_code, before[..., :SIZE], atol=2e-2, rtol=0)
    torch.testing.assert_close(after[..., SIZE:], before[..., SIZE:], atol=2e-2, rtol=0)


def test_a_code_in_the_place_of_two_is_half_of_each():
    frames, model = SharedFrames(NUM_CODEBOOKS, SIZE), bundled_model()
    new, old = torch.full((NUM_CODEBOOKS, 2), 7), torch.tensor([3, 5]).expand(NUM_CODEBOOKS, 2)
    frames.add(new, old)
    wanted = (model.embed_code(2, torch.tensor(3)) + model.embed_code(2, torch.tensor(5))) / 2
    carry_over(model, frames)
    torch.testing.assert_close(model.embed_code(2, torch.tensor(7)), wanted, atol=1e-3, rtol=0)
