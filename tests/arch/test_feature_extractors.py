"""The feature streams of the official encoder; what they are of real recordings, golden tokens say."""

import pytest
import torch

from heartmula_studio.arch.feature_extractors import SAMPLES_PER_FEATURE, TAIL_SAMPLES, FeatureExtractors

NUM_FEATURES = 20
TINY = {"hidden_size": 16, "intermediate_size": 16}
CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
SIZES = {
    "whisper_config": {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16},
    "wavlm_config": {**TINY, **CONVOLUTIONS, "num_hidden_layers": 9, "num_attention_heads": 2},
    "muencoder_config": {"conv_dim": 4, "conformer_config": {**TINY, "num_attention_heads": 2}},
}


@pytest.fixture(scope="module")
def extractors() -> FeatureExtractors:
    torch.manual_seed(0)
    return FeatureExtractors(SIZES).eval()


@pytest.fixture(scope="module")
def stereo() -> torch.Tensor:
    samples = NUM_FEATURES * SAMPLES_PER_FEATURE + TAIL_SAMPLES
    return torch.randn(1, 2, samples, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_features_of_left_stand_before_those_of_right(extractors, stereo):
    alone = [extractors.of_channels(stereo[:, side]) for side in (0, 1)]
    for both, left, right in zip(extractors(stereo), *alone, strict=True):
        assert both.shape[:2] == (1, NUM_FEATURES)
        torch.testing.assert_close(both, torch.cat((left, right), dim=-1), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_of_two_sides_that_are_the_same_the_features_are_those_of_any_two(extractors, stereo):
    mono = stereo[:, :1].expand(-1, 2, -1)
    with_another = torch.cat((mono, stereo))  # so that each side is listened to by itself
    for alone, among in zip(extractors(mono), extractors(with_another), strict=True):
        torch.testing.assert_close(alone, among[:1], atol=1e-4, rtol=1e-4)
