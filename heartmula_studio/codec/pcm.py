"""Sound as 16-bit samples, for players that begin before it is whole: WAV without a length."""

import io
import struct

import soundfile
from torch import Tensor

CHANNELS, SAMPLE_BYTES = 2, 2
HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFFFFFF
"""What programs write that do not know yet how long it gets (FFmpeg into a pipe, say)."""


def wave_header(sample_rate_hz: int, num_samples: int | None = None) -> bytes:
    """Return the header of stereo PCM_16 in WAV; without `num_samples` of a file of unknown length.

    Format: IBM and Microsoft, Multimedia Programming Interface and Data Specifications 1.0 (1991), chapter 3.
    """
    frame_bytes = CHANNELS * SAMPLE_BYTES
    data_bytes = UNKNOWN_BYTES if num_samples is None else num_samples * frame_bytes
    riff_bytes = min(data_bytes + HEADER_BYTES - 8, UNKNOWN_BYTES)
    layout = (16, 1, CHANNELS, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, 8 * SAMPLE_BYTES)
    head = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    return head + struct.pack("<4sIHHIIHH", b"fmt ", *layout) + struct.pack("<4sI", b"data", data_bytes)


def pcm_16(waveform: Tensor) -> bytes:
    """Turn [2, n] samples into the bytes that `AudioWriter` writes of them into a WAV file."""
    buffer = io.BytesIO()
    samples = waveform.detach().clamp(-1.0, 1.0).T.cpu().numpy()
    soundfile.write(buffer, samples, 1, subtype="PCM_16", endian="LITTLE", format="RAW")
    return buffer.getvalue()
