"""The clock that every HeartCodec shares: frames of codes, latents within a frame, frames within a window."""

FRAME_RATE_HZ = 12.5
LATENTS_PER_FRAME = 2
WINDOW_FRAMES = 372
"""29.76 s: what the encoder and the flow-matching decoder were trained to see at once."""


def samples_per_window(sample_rate_hz: int) -> int:
    """Samples of one window, per channel."""
    return round(WINDOW_FRAMES * sample_rate_hz / FRAME_RATE_HZ)


def frames_of(seconds: float) -> int:
    """Frames of a recording: one more than are filled, as the official encoder leaves them."""
    return int(seconds * FRAME_RATE_HZ) + 1
