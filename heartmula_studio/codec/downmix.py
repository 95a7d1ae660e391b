"""Folding any number of channels down to stereo."""

import math

import numpy as np

HALF_POWER = math.sqrt(0.5)
LEFT, RIGHT, CENTRE, LFE = (1.0, 0.0), (0.0, 1.0), (HALF_POWER, HALF_POWER), (0.0, 0.0)
SIDE_LEFT, SIDE_RIGHT, BACK = (HALF_POWER, 0.0), (0.0, HALF_POWER), (0.5, 0.5)

WAVE_LAYOUTS = {
    1: ((1.0, 1.0),),
    2: (LEFT, RIGHT),
    3: (LEFT, RIGHT, CENTRE),
    4: (LEFT, RIGHT, SIDE_LEFT, SIDE_RIGHT),
    5: (LEFT, RIGHT, CENTRE, SIDE_LEFT, SIDE_RIGHT),
    6: (LEFT, RIGHT, CENTRE, LFE, SIDE_LEFT, SIDE_RIGHT),
    7: (LEFT, RIGHT, CENTRE, LFE, BACK, SIDE_LEFT, SIDE_RIGHT),
    8: (LEFT, RIGHT, CENTRE, LFE, SIDE_LEFT, SIDE_RIGHT, SIDE_LEFT, SIDE_RIGHT),
}
"""Weights (to left, to right) of each channel in WAV and FLAC order; centre and surround at −3 dB (ITU-R BS.775)."""

VORBIS_LAYOUTS = WAVE_LAYOUTS | {
    3: (LEFT, CENTRE, RIGHT),
    5: (LEFT, CENTRE, RIGHT, SIDE_LEFT, SIDE_RIGHT),
    6: (LEFT, CENTRE, RIGHT, SIDE_LEFT, SIDE_RIGHT, LFE),
    7: (LEFT, CENTRE, RIGHT, SIDE_LEFT, SIDE_RIGHT, BACK, LFE),
    8: (LEFT, CENTRE, RIGHT, SIDE_LEFT, SIDE_RIGHT, SIDE_LEFT, SIDE_RIGHT, LFE),
}
"""The same in Vorbis and Opus order, which libsndfile hands on as it is."""


def stereo_matrix(channels: int, audio_format: str) -> np.ndarray:
    """Weights [2, channels] that fold a recording to stereo. Mono is doubled; the low-frequency channel is left out.

    Each side's weights sum to 1, so that nothing clips. Beyond 8 channels there is no common layout: odd ones go to
    the left, even ones to the right.
    """
    layouts = VORBIS_LAYOUTS if audio_format == "OGG" else WAVE_LAYOUTS
    weights = np.array(layouts.get(channels) or [(LEFT, RIGHT)[i % 2] for i in range(channels)], np.float32).T
    return weights / weights.sum(axis=1, keepdims=True)
