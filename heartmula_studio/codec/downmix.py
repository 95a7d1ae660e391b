"""Folding any number of channels down to stereo."""

import math
from collections.abc import Sequence

import numpy as np

HALF_POWER = math.sqrt(0.5)
LEFT, RIGHT, CENTRE, SILENT = (1.0, 0.0), (0.0, 1.0), (HALF_POWER, HALF_POWER), (0.0, 0.0)
SURROUND_LEFT, SURROUND_RIGHT, SURROUND_CENTRE = (HALF_POWER, 0.0), (0.0, HALF_POWER), (0.5, 0.5)

SPEAKER_WEIGHTS = {
    "FL": LEFT,
    "FR": RIGHT,
    "FC": CENTRE,
    "LFE": SILENT,
    "LFE2": SILENT,
    "FLC": LEFT,
    "FRC": RIGHT,
    "DL": LEFT,
    "DR": RIGHT,
    "WL": LEFT,
    "WR": RIGHT,
    "BL": SURROUND_LEFT,
    "BR": SURROUND_RIGHT,
    "BC": SURROUND_CENTRE,
    "SL": SURROUND_LEFT,
    "SR": SURROUND_RIGHT,
    "TC": SURROUND_CENTRE,
    "TFL": SURROUND_LEFT,
    "TFC": SURROUND_CENTRE,
    "TFR": SURROUND_RIGHT,
    "TBL": SURROUND_LEFT,
    "TBC": SURROUND_CENTRE,
    "TBR": SURROUND_RIGHT,
}
"""What each speaker, by FFmpeg's names, gives to left and right: centre and surround at -3 dB (ITU-R BS.775)."""

USUAL_SPEAKERS = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""The speakers of a file that does not name them, in the order of WAV and FLAC."""


def stereo_matrix(speakers: Sequence[str]) -> np.ndarray:
    """Weights [2, channels] that fold a recording to stereo; a single channel is doubled.

    The front speakers keep their level, as FFmpeg keeps it for float samples: a surround recording is as loud as a
    stereo one. Where all speakers are loud at once the sum may pass full scale, which float samples can. Without names
    for more than 8 channels there is no common layout: odd ones go left, even ones right, each side their mean.
    """
    channels = len(speakers)
    if channels == 1:
        return np.ones((2, 1), np.float32)
    if not SPEAKER_WEIGHTS.keys() >= set(speakers):
        if channels not in USUAL_SPEAKERS:
            return alternate_matrix(channels)
        speakers = USUAL_SPEAKERS[channels]
    return np.array([SPEAKER_WEIGHTS[speaker] for speaker in speakers], np.float32).T


def alternate_matrix(channels: int) -> np.ndarray:
    weights = np.array([(LEFT, RIGHT)[i % 2] for i in range(channels)], np.float32).T
    return weights / weights.sum(axis=1, keepdims=True)
