"""A codec of tones decodes windows of one song: however it is cut, oscillators run on."""

import pytest
import torch

from heartmula_studio.arch.codec_network import FlowSteps
from heartmula_studio.arch.tone_bank import ToneConfig
from heartmula_studio.arch.tone_codec import LevelConfig, ToneCodec, ToneCodecConfig
from heartmula_studio.codec.codec import Codec, seeded_noise

FRAMES = 420  # more than a whole window


@pytest.fixture
def codec():
    """One whose network tells the levels of each frame from its codes alone."""
    torch.manual_seed(0)
    tones = ToneConfig()
    network = ToneCodec(ToneCodecConfig(LevelConfig(0.2, 5e-3, tones.num_levels, 16, 8, hidden_dim=16), tones)).eval()
    for codebook in network.quantiser.codebooks():
        torch.nn.init.normal_(codebook.embed)
    torch.nn.init.zeros_(network.level_network.leave.weight)
    torch.nn.init.zeros_(network.level_network.leave.bias)
    torch.nn.init.constant_(network.level_network.own_frame.bias, -3)
    return Codec(network, "tones")


def test_all_kinds_of_windows_sound_the_same(codec):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(16, (8, FRAMES), generator=generator)
    whole = torch.cat(list(codec.decode(codes)), dim=1)
    assert whole.shape == (2, FRAMES * 1920)
    pieces = codes.split(50, dim=1)
    steps = FlowSteps(1, codec.guidance, seeded_noise(0))
    growing = torch.cat(list(codec.decode_frames(pieces, steps, is_growing=True)), dim=1)
    # What a window ends with, which does not know the next level, is nearly faded out; the song ends with it.
    difference, sound = (growing - whole)[:, :-1920], whole[:, :-1920]
    assert difference.norm() < 1e-3 * sound.norm()


def test_seeds_and_steps_change_nothing(codec):
    codes = torch.randint(16, (8, 60), generator=torch.Generator().manual_seed(0))
    sounds = [torch.cat(list(codec.decode(codes, seed, num_steps=n)), dim=1) for seed, n in ((0, 10), (7, 1))]
    assert torch.equal(*sounds)
