"""The codec of tones and noise: sound → codes → sound, and its files."""

import json
import math

import pytest
import torch

from heartmula_studio.arch.checkpoints import load_codec_network, save_model
from heartmula_studio.arch.codec_network import FlowSteps
from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.frames import WINDOW_FRAMES
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME, ToneConfig, tone_levels
from heartmula_studio.arch.tone_codec import LevelConfig, ToneCodec, ToneCodecConfig
from heartmula_studio.codec.identity import codebook_id, stored_codebook_id
from heartmula_studio.errors import CheckpointMismatchError

TONES = ToneConfig()
GROUPS = 4
FLOORS = {"tone_floor": 4e-2, "noise_floor": 5e-3}
LEVELS = LevelConfig(**FLOORS, dim=TONES.num_levels + 3 * GROUPS, codebook_size=16, codebook_dim=8, hidden_dim=16)
CONFIG = ToneCodecConfig(LEVELS, TONES)
ENCODER = {"version": "tones-v1", **FLOORS, "num_groups": GROUPS}


@pytest.fixture
def codec():
    torch.manual_seed(0)
    codec = ToneCodec(CONFIG).eval()
    for codebook in codec.quantiser.codebooks():
        torch.nn.init.normal_(codebook.embed)
    torch.nn.init.constant_(codec.quantiser.project_out.bias, math.log(2 * FLOORS["tone_floor"]))  # as loud as music
    return codec


def decode(codec: ToneCodec, codes: torch.Tensor, start: int = 0) -> torch.Tensor:
    with torch.no_grad():
        return codec.decode_window(codes, start, None, FlowSteps(1, 1.0, torch.zeros))[0]


def random_codes(num_frames: int) -> torch.Tensor:
    shape = (1, LEVELS.num_quantizers, num_frames)
    return torch.randint(LEVELS.codebook_size, shape, generator=torch.Generator().manual_seed(1))


class TestEncoder:
    def test_features_are_logarithms_of_each_frame_less_their_mean(self):
        encoder = build_encoder(ENCODER).eval()
        silence = encoder(torch.zeros(1, 2, 1920 * 3))
        assert silence.shape == (1, 3, LEVELS.dim)
        tones, noises = silence[0, :, : TONES.num_levels].split((TONES.num_tones, TONES.num_noise_bands), dim=1)
        torch.testing.assert_close(tones, torch.full_like(tones, math.log(4e-2)))
        torch.testing.assert_close(noises, torch.full_like(noises, math.log(5e-3)))
        encoder.mean.fill_(1.0)
        assert torch.equal(encoder(torch.zeros(1, 2, 1920 * 3)), silence - 1)

    def test_both_channels_count(self):
        encoder, sound = build_encoder(ENCODER).eval(), 0.5 * torch.randn(1, 1, 1920 * 5)
        both, one = encoder(sound.expand(1, 2, -1)), encoder(torch.cat((sound, torch.zeros_like(sound)), dim=1))
        assert (both - one)[..., : TONES.num_levels].mean() > 0.1

    def test_movement_tells_where_in_a_frame_a_sound_begins(self):
        encoder = build_encoder(ENCODER).eval()
        early, late = (torch.full((1, TONES.num_levels, LEVELS_PER_FRAME), 1e-4) for _ in range(2))
        early[..., 0], late[..., -1] = 0.1, 0.1
        one, other = encoder.features(early), encoder.features(late)
        torch.testing.assert_close(one[..., : TONES.num_levels], other[..., : TONES.num_levels])
        assert (one - other)[..., TONES.num_levels :].abs().max() > 1

    def test_a_window_is_as_long_as_those_of_other_encoders(self):
        encoder = build_encoder(ENCODER)
        assert encoder.window_samples == WINDOW_FRAMES * CONFIG.samples_per_frame
        assert encoder.feature_width == LEVELS.dim


class TestDecoder:
    def test_every_frame_is_80_ms_of_stereo(self, codec):
        assert decode(codec, random_codes(10)).shape == (1, 2, 10 * 1920)

    def test_a_window_sounds_as_the_same_frames_within_a_song(self, codec):
        codes = random_codes(90)
        whole, window = decode(codec, codes), decode(codec, codes[..., 30:], start=30)
        # The network sees sixteen frames on each side.
        torch.testing.assert_close(whole[..., 60 * 1920 :], window[..., 30 * 1920 :], atol=1e-4, rtol=1e-3)

    def test_gain_makes_all_of_it_louder(self, codec):
        before = decode(codec, random_codes(10))
        codec.level_network.gain.fill_(2.0)
        torch.testing.assert_close(decode(codec, random_codes(10)), 2 * before)

    def test_levels_that_a_linear_map_tells_come_back(self, codec):
        """A network that tells one tone whatever the codes: that tone is heard."""
        network = codec.level_network
        for layer in (network.own_frame, network.leave):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        silent = torch.full((TONES.num_levels, LEVELS_PER_FRAME), math.log(network.floor))
        silent[20] = math.log(0.3 + network.floor)
        network.own_frame.bias.data = silent.flatten()
        heard = tone_levels(decode(codec, random_codes(20))[0], TONES)[0, :, 20:60].mean(1)
        assert heard.argmax() == 20
        assert heard[20] == pytest.approx(0.3, rel=0.1)

    def test_levels_come_back_that_codes_tell_above_the_floors_of_the_encoder(self):
        """A loud tone, a quiet one and a noise, from a network that adds nothing."""
        network = ToneCodec(CONFIG).level_network
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
        same = torch.eye(TONES.num_levels).repeat_interleave(LEVELS_PER_FRAME, dim=0)
        network.own_frame.weight.data[:, : TONES.num_levels] = same
        network.own_frame.bias.data.fill_(math.log(network.floor))
        levels = torch.zeros(1, TONES.num_levels, LEVELS_PER_FRAME * 3)
        levels[:, 20], levels[:, 30], levels[:, TONES.num_tones + 2] = 0.3, 0.01, 0.02
        told = build_encoder(ENCODER).with_mean(levels)
        torch.testing.assert_close(network(told), levels, atol=1e-6, rtol=1e-4)


class TestFiles:
    def test_a_codec_comes_back_from_its_folder(self, codec, tmp_path):
        save_model(codec, CONFIG.to_dict(), tmp_path)
        loaded = load_codec_network(tmp_path)
        assert isinstance(loaded, ToneCodec)
        assert loaded.config == CONFIG
        codes = random_codes(12)
        assert torch.equal(decode(loaded, codes), decode(codec, codes))

    def test_its_codes_are_named_by_its_quantiser(self, codec, tmp_path):
        save_model(codec, CONFIG.to_dict(), tmp_path)
        assert stored_codebook_id(tmp_path) == codebook_id(codec.quantiser)

    @pytest.mark.parametrize(
        "changed", [{"highest_note": 300}, {"codebook_size": "many"}, {"num_quantizers": 0}, {"tone_floor": None}]
    )
    def test_values_that_describe_no_network_are_refused_with_the_file(self, codec, tmp_path, changed):
        save_model(codec, CONFIG.to_dict(), tmp_path)
        path = tmp_path / "config.json"
        path.write_text(json.dumps(CONFIG.to_dict() | changed))
        with pytest.raises(CheckpointMismatchError, match="config.json"):
            load_codec_network(tmp_path)

    def test_an_unknown_decoder_is_refused(self, codec, tmp_path):
        save_model(codec, CONFIG.to_dict() | {"decoder": "waves"}, tmp_path)
        with pytest.raises(CheckpointMismatchError, match="waves"):
            load_codec_network(tmp_path)
