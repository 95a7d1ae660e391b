"""The codec's networks against golden numbers; the full-size encoder's names."""

from ast import literal_eval
from pathlib import Path

import pytest
import torch

from heartmula_studio.arch import velocity_network
from heartmula_studio.arch.encoder import HeartCodecEncoder
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.rotary import rope_table
from heartmula_studio.arch.scalar_codec import fold_bands, unfold_bands

GOLDEN = Path(__file__).parent.parent / "golden"


@torch.no_grad()
def test_quantiser_embeds_codes_as_golden(golden_heartcodec, golden):
    embedded = golden_heartcodec.flow_matching.vq_embed.decode(golden["codec.codes"].transpose(1, 2))
    torch.testing.assert_close(embedded, golden["codec.rvq_embedding"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("codebook_dim", [8, 32])
def test_quantiser_is_that_of_the_library_to_the_bit(codebook_dim):
    """Trained a little, so that its codewords and flags are what training leaves."""
    from vector_quantize_pytorch import ResidualVQ  # takes seconds, which every process of the tests would wait

    torch.manual_seed(0)
    sizes = {"dim": 32, "codebook_size": 64, "codebook_dim": codebook_dim, "num_quantizers": 5}
    library, features = ResidualVQ(**sizes), torch.randn(3, 50, 32)
    library(features)
    own = ResidualQuantiser(**sizes)
    assert own.load_state_dict(library.state_dict()) == ([], [])
    quantised, codes, _ = library.eval()(features)
    assert torch.equal(own.encode(features), codes)
    assert torch.equal(own.decode(codes), library.get_output_from_indices(codes))
    torch.testing.assert_close(own.decode(codes), quantised)


@torch.no_grad()
def test_estimator_equals_golden(golden_heartcodec, golden):
    out = golden_heartcodec.flow_matching.estimator(golden["codec.estimator.x"], golden["codec.estimator.t"])
    torch.testing.assert_close(out, golden["codec.estimator.out"], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_estimator_rotates_by_one_table_a_stage(golden_heartcodec, golden, monkeypatch):
    """Thirty layers times ten steps used to build the same table."""
    calls = []
    monkeypatch.setattr(velocity_network, "rope_table", lambda *a: calls.append(a) or rope_table(*a))
    golden_heartcodec.flow_matching.estimator(golden["codec.estimator.x"], golden["codec.estimator.t"])
    assert len(calls) == 2


@torch.no_grad()
def test_scalar_codec_equals_golden(golden_heartcodec, golden):
    latent = golden_heartcodec.scalar_model.encode(golden["codec.scalar.wav"])
    torch.testing.assert_close(latent, golden["codec.scalar.latent"], atol=1e-5, rtol=1e-5)
    decoded = golden_heartcodec.scalar_model.decode(golden["codec.scalar.latent"])
    torch.testing.assert_close(decoded, golden["codec.scalar.decoded"], atol=1e-5, rtol=1e-4)


def test_stereo_latents_hold_one_channel_in_each_half(golden_heartcodec):
    waveform = torch.randn(1, 2, 5 * golden_heartcodec.config.samples_per_latent) * 0.1
    with torch.no_grad():
        both = golden_heartcodec.encode_latents(waveform)
        left = golden_heartcodec.scalar_model.encode(waveform[:, :1])
        decoded = golden_heartcodec.decode_latents(both)
    torch.testing.assert_close(both[0, :, :128].T, left[0], atol=1e-5, rtol=1e-5)
    assert decoded.shape == waveform.shape


def test_band_folding_is_lossless():
    waveform = torch.arange(48.0).reshape(2, 1, 24)
    bands = fold_bands(waveform, 8)
    assert bands.shape == (2, 8, 3)
    assert bands[0, :, 0].tolist() == list(range(8))
    assert torch.equal(unfold_bands(bands), waveform)


def test_full_size_encoder_has_the_official_tensors():
    with torch.device("meta"):
        encoder = HeartCodecEncoder({})
    found = {f"encoder.{name}": (tuple(t.shape), str(t.dtype)) for name, t in encoder.state_dict().items()}
    expected = {}
    for line in (GOLDEN / "encoder_names.txt").read_text().splitlines():
        name, rest = line.split(" ", 1)
        shape, dtype = rest.rsplit(" ", 1)
        expected[name] = (literal_eval(shape), f"torch.{dtype}")
    assert len(expected) == 1006
    assert found == expected


@torch.no_grad()
def test_the_velocity_of_the_last_steps_is_that_of_all(golden_heartcodec, golden):
    estimator, inputs = golden_heartcodec.flow_matching.estimator, golden["codec.estimator.x"]
    convolved, modulations = estimator.convolve(inputs), estimator.modulate(golden["codec.estimator.t"])
    whole = estimator.velocity(convolved, modulations)
    for start in (0, 1, 5):
        torch.testing.assert_close(estimator.velocity(convolved, modulations, start), whole[:, start:])
