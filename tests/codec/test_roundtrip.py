"""A song through the codec and back."""

from pathlib import Path

import pytest
import torch

from heartmula_studio.arch.checkpoints import load_codec_network
from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.codec.audio_file import probe, read_blocks
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.quality import log_mel_distance
from heartmula_studio.codec.roundtrip import roundtrip
from heartmula_studio.errors import CancelledError, InvalidInputError, TruncatedAudioError

pytestmark = pytest.mark.usefixtures("short_windows")
GOLDEN = Path(__file__).parent.parent / "golden"
# 14 tones, 12 bands of noise and three movements of two groups: as many features as the golden codec's quantiser takes.
TONES = {"lowest_note": 60, "highest_note": 73, "num_noise_bands": 12, "listened_samples": [1024], "up_to_note": [73]}
ENCODER = {**TONES, "tone_floor": 4e-2, "noise_floor": 5e-3, "num_groups": 2}


@pytest.fixture(scope="module")
def codec():
    heartcodec = load_codec_network(GOLDEN / "heartcodec")
    heartcodec.encoder = ToneEncoder(ENCODER).eval()
    return Codec(heartcodec, "small")


def test_roundtrip_writes_what_the_model_hears(codec, write_song, tmp_path):
    path, steps = write_song("song.mp3", seconds=3.0), []
    result = roundtrip(path, codec, tmp_path / "heard.wav", lambda done, total: steps.append(done / total))
    assert result.tokens.codes.shape == (8, int(3.0 * 12.5) + 1)
    assert probe(result.out_path).samples == result.tokens.codes.shape[1] * 3840
    original = torch.cat(list(read_blocks(path, 48000, 48000)), dim=1)
    heard = torch.cat(list(read_blocks(result.out_path, 48000, 48000)), dim=1)
    assert result.distance == pytest.approx(log_mel_distance(original, heard, 48000), rel=1e-2)
    assert steps == [0.5, 1.0]


def test_cancelled_roundtrip_leaves_nothing(codec, write_song, tmp_path):
    path = write_song("song.wav")
    with pytest.raises(CancelledError):
        roundtrip(path, codec, tmp_path / "heard.wav", cancelled=lambda: True)
    assert list(tmp_path.iterdir()) == [path]


def test_broken_song_leaves_nothing(codec, write_song, tmp_path):
    path = write_song("song.flac")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(TruncatedAudioError):
        roundtrip(path, codec, tmp_path / "heard.wav")
    assert list(tmp_path.iterdir()) == [path]


def test_the_song_itself_is_never_overwritten(codec, write_song):
    path = write_song("song.wav", seconds=2.0)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="song itself"):
        roundtrip(path, codec, path)
    assert path.read_bytes() == before
