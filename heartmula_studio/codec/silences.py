"""Where the songs of an album in one recording begin: behind the silences between them."""

from pathlib import Path

import numpy as np

from heartmula_studio.codec.audio_file import AudioSource

FRAMES_PER_SEC = 10
RATE_HZ = 8000
SILENCE_DB = -50.0  # relative to full scale
MIN_SILENCE_SEC, MIN_SONG_SEC = 1.0, 30.0


def song_starts_sec(path: Path) -> list[float]:
    """Return when each song of a recording begins, from the first sound on; one alone where there are no silences.

    Raises a subclass of AudioError.
    """
    samples = RATE_HZ // FRAMES_PER_SEC
    peaks = [
        block.abs().amax(dim=0).unfold(0, samples, samples).amax(dim=1).numpy()
        for block in AudioSource.find(path).read_blocks(RATE_HZ, 60 * RATE_HZ)
        if block.shape[1] >= samples
    ]
    return starts_behind_silences(np.concatenate([[], *peaks]))


def starts_behind_silences(peaks: np.ndarray) -> list[float]:
    """Return the starts in seconds, from the peak of each tenth of a second. No song is shorter than MIN_SONG_SEC."""
    heard = np.flatnonzero(peaks > 10 ** (SILENCE_DB / 20))
    if not heard.size:
        return [0.0]
    gaps = np.diff(heard) - 1
    behind = heard[1:][gaps >= MIN_SILENCE_SEC * FRAMES_PER_SEC]
    starts = [int(heard[0])]
    for start in behind.tolist():
        is_last_long = heard[-1] + 1 - start >= MIN_SONG_SEC * FRAMES_PER_SEC
        if start - starts[-1] >= MIN_SONG_SEC * FRAMES_PER_SEC and is_last_long:
            starts.append(start)
    return [start / FRAMES_PER_SEC for start in starts]
