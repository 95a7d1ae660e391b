"""Sound for players: the samples of a finished file, in WAV of a length that nobody knows yet."""

import io

import soundfile
import torch

from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.pcm import HEADER_BYTES, pcm_16, wave_header

RATE_HZ = 24_000


def test_pieces_are_what_the_writer_writes(tmp_path):
    sound = torch.randn(2, 5000)
    sound[:, :3] = torch.tensor([1.0, -1.0, 3.0])
    with AudioWriter(tmp_path / "song.wav", RATE_HZ) as writer:
        writer.write(sound)
    expected, _ = soundfile.read(tmp_path / "song.wav", dtype="int16")
    pieces = b"".join(pcm_16(piece) for piece in sound.split(700, dim=1))
    assert pieces == expected.astype("<i2").tobytes()
    whole = wave_header(RATE_HZ, 5000) + pieces
    (tmp_path / "own.wav").write_bytes(whole)
    assert (soundfile.read(tmp_path / "own.wav", dtype="int16")[0] == expected).all()


def test_a_file_of_unknown_length_is_read_to_its_end():
    sound = 0.5 * torch.sin(torch.arange(48_000) / 20).expand(2, -1)
    header = wave_header(RATE_HZ)
    assert len(header) == HEADER_BYTES
    samples, rate_hz = soundfile.read(io.BytesIO(header + pcm_16(sound)))
    assert (samples.shape, rate_hz) == ((48_000, 2), RATE_HZ)
