"""Files to tokens and tokens to waveforms, against golden numbers and in the cases they leave out."""

import json
import shutil
import threading
from pathlib import Path

import pytest
import soundfile
import torch

from heartmula_studio.arch.checkpoints import BaseFolder, load_codec_network
from heartmula_studio.arch.encoder import HeartCodecEncoder
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.unfilled import Unfilled
from heartmula_studio.codec.codec import Codec, seeded_noise
from heartmula_studio.errors import CancelledError, CheckpointMissingError, InvalidInputError, SilentAudioError
from tests.golden import fill

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES_PER_FRAME = 3840


@pytest.fixture(scope="module")
def encoding_codec():
    """The reduced encoder and the quantiser of the golden encoder case, behind the golden decoder's file code."""
    case = json.loads((GOLDEN / "encoder_case.json").read_text())
    heartcodec = load_codec_network(GOLDEN / "heartcodec")
    with Unfilled():
        encoder = HeartCodecEncoder({"feature_extractors": case["feature_extractors"], "query": case["query"]})
    assert len(encoder.state_dict()) == case["n_tensors"]
    heartcodec.encoder = fill.fill_deterministic_(encoder, "encoder.").eval()
    quantiser = ResidualQuantiser(512, case["codebook_size"], codebook_dim=32, num_quantizers=8)
    heartcodec.flow_matching.vq_embed = fill.fill_deterministic_(quantiser, "decoder.quantizer.")
    return Codec(heartcodec, "golden")


@pytest.fixture
def codec(golden_heartcodec):
    return Codec(golden_heartcodec, "golden")


def random_codes(num_frames: int) -> torch.Tensor:
    return torch.randint(0, 128, (8, num_frames), generator=torch.Generator().manual_seed(num_frames))


@pytest.mark.parametrize(
    ("case", "waveform"),
    [
        pytest.param("stereo44", (44100, 2, 33.3), marks=pytest.mark.long),  # two windows, of twenty seconds each
        ("mono22", (22050, 1, 7.77)),
    ],
    ids=["stereo44", "mono22"],
)
def test_file_becomes_golden_features_and_tokens(encoding_codec, golden_encoder, tmp_path, case, waveform):
    rate, _, seconds = waveform
    path = tmp_path / "song.wav"
    soundfile.write(path, fill.test_waveform(*waveform).T.numpy(), rate, subtype="FLOAT")
    steps, features = [], []
    with encoding_codec.heartcodec.encoder.register_forward_hook(lambda _, __, out: features.append(out)):
        tokens = encoding_codec.encode_file(path, lambda done, total: steps.append((done, total)))
    assert (torch.cat(features)[:, ::7, ::4] - golden_encoder[f"{case}.features"]).abs().max() < 1e-4
    expected = golden_encoder[f"{case}.tokens"]
    assert tokens.codes.dtype == torch.int16
    assert tokens.codes.shape == expected.shape
    assert (tokens.codes == expected).float().mean() >= 0.995
    assert tokens.source_sec == pytest.approx(seconds, abs=1e-3)
    assert steps == [(i + 1, len(steps)) for i in range(len(steps))]
    assert len(steps) == (2 if seconds > 29.76 else 1)


def test_bad_file_is_refused_before_any_encoding(encoding_codec, tmp_path):
    soundfile.write(tmp_path / "silence.wav", torch.zeros(48000, 2).numpy(), 24000)
    with pytest.raises(SilentAudioError):
        encoding_codec.encode_file(tmp_path / "silence.wav")


def test_codec_without_encoder_says_what_to_download(codec, tmp_path):
    codec.encoder_folder = tmp_path / "HeartCodec-oss-encoder"
    with pytest.raises(CheckpointMissingError) as caught:
        codec.encode_file(tmp_path / "song.wav")
    assert caught.value.hint.endswith(f"HeartMuLa/HeartCodec-oss-encoder --local-dir {codec.encoder_folder}")


def test_encoder_belongs_beside_the_codec(tmp_path):
    folder = shutil.copytree(GOLDEN / "heartcodec", tmp_path / "HeartCodec-oss")
    base = BaseFolder("golden", tmp_path, folder, None, tmp_path, tmp_path)
    assert Codec.load(base).encoder_folder == tmp_path / "HeartCodec-oss-encoder"


@pytest.mark.parametrize("num_frames", [100, 372, 800])
def test_decode_without_noise_equals_golden(codec, golden, num_frames):
    codes = golden[f"codec.detok{num_frames}.codes"]
    waveform = torch.cat(list(codec.decode(codes, noise=torch.zeros)), dim=1)
    assert waveform.shape[1] == golden[f"codec.detok{num_frames}.num_samples"].item()
    expected = golden[f"codec.detok{num_frames}.wav_zero_noise"]
    tolerance = 1e-3 * expected.square().mean().sqrt()
    close = (waveform[:, ::37] - expected).abs() <= tolerance
    assert close.float().mean() >= 0.999


def test_decode_has_full_length_where_the_last_window_is_just_full(codec):
    """Upstream counted one window too few where (T - 104) is a multiple of 320, and returned too short a song."""
    stretches = list(codec.decode(random_codes(424), num_steps=1))
    assert [stretch.shape[1] for stretch in stretches] == [320 * SAMPLES_PER_FRAME, 104 * SAMPLES_PER_FRAME]


def test_decode_hands_out_stretches_as_they_are_done(codec):
    steps = []
    decoding = codec.decode(random_codes(1000), num_steps=1, progress=lambda done, total: steps.append((done, total)))
    assert next(decoding).shape == (2, 320 * SAMPLES_PER_FRAME)
    assert steps == [(1, 3)]
    rest = sum(stretch.shape[1] for stretch in decoding)
    assert rest == (1000 - 320) * SAMPLES_PER_FRAME
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_same_seed_same_song(codec):
    first, again, other = (next(codec.decode(random_codes(20), seed, num_steps=1)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_window_gets_fresh_noise():
    draw = seeded_noise(3)
    assert not torch.equal(draw((1, 744, 256)), draw((1, 744, 256)))


def test_decode_stops_inside_a_window_and_keeps_working_afterwards(codec):
    """Stopping must not wait for the window's end, and must not leave anything on the network."""
    answers = iter([False] * 20)
    with pytest.raises(CancelledError):
        list(codec.decode(random_codes(20), cancelled=lambda: next(answers, True)))
    assert next(codec.decode(random_codes(20), num_steps=1)).shape == (2, 20 * SAMPLES_PER_FRAME)


def test_stopping_one_thread_leaves_the_other_alone(codec):
    """Both threads run the same network; only the one that was asked to may stop."""
    results, started = {}, threading.Event()

    def cancelled() -> bool:
        started.set()
        return finished.is_set()

    def stopped_work():
        try:
            list(codec.decode(random_codes(800), cancelled=cancelled))
        except CancelledError:
            results["stopped"] = True

    finished = threading.Event()
    thread = threading.Thread(target=stopped_work)
    thread.start()
    started.wait()
    finished.set()
    results["other"] = next(codec.decode(random_codes(20), num_steps=1)).shape[1]
    thread.join()
    assert results == {"stopped": True, "other": 20 * SAMPLES_PER_FRAME}


@pytest.mark.parametrize(
    "codes", [torch.full((8, 4), 128), torch.full((8, 4), -1), torch.zeros(7, 4).long(), torch.zeros(8, 0).long()]
)
def test_codes_of_another_codec_are_refused_at_once(codec, codes):
    with pytest.raises(InvalidInputError, match="codec"):
        codec.decode(codes)
