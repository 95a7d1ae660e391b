"""Programs that tell tempo and key of a recording: the studio's own, and others to measure it by.

`pip install librosa` (ISC) and `pip install essentia` (AGPL, for comparison alone); each is imported as it is used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from heartmula_studio.codec.tempo_and_key import MAJOR_NAMES, MINOR_NAMES, TempoAndKey, find_tempo_and_key

Find = Callable[[Path], TempoAndKey]

# Krumhansl and Kessler, "Tracing the dynamic changes in perceived tonal organization" (1982).
KRUMHANSL_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
KRUMHANSL_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
FLATS = {"c#": "db", "d#": "eb", "g#": "ab", "a#": "bb", "gb": "f#"}


def librosa_by(chroma: str) -> Find:
    """librosa 0.11: the tempo of its beat tracker; one of its chromas, correlated with Krumhansl's profiles."""

    def find(path: Path) -> TempoAndKey:
        import librosa

        samples, rate_hz = librosa.load(path, sr=22_050)
        bpm, _ = librosa.beat.beat_track(y=samples, sr=rate_hz)
        classes = getattr(librosa.feature, chroma)(y=samples, sr=rate_hz).mean(axis=1)
        return TempoAndKey(float(np.ravel(bpm)[0]), 1.0, best_key(classes), 1.0)

    return find


def librosa_tempo(path: Path) -> TempoAndKey:
    """The tempo of librosa's tempogram, and no key."""
    import librosa

    samples, rate_hz = librosa.load(path, sr=22_050)
    return TempoAndKey(float(librosa.feature.tempo(y=samples, sr=rate_hz)[0]), 1.0, None, 0.0)


def essentia_by(profile: str) -> Find:
    """essentia: RhythmExtractor2013, and KeyExtractor with one of its profiles."""

    def find(path: Path) -> TempoAndKey:
        import essentia.standard as es

        samples = es.MonoLoader(filename=str(path), sampleRate=44_100)()
        bpm, *_ = es.RhythmExtractor2013(method="multifeature")(samples)
        key, scale, _ = es.KeyExtractor(profileType=profile)(samples)
        return TempoAndKey(float(bpm), 1.0, spelled(key.lower(), scale), 1.0)

    return find


FINDERS: dict[str, Find] = {
    "studio": find_tempo_and_key,
    "librosa beat_track, chroma_cqt": librosa_by("chroma_cqt"),
    "librosa beat_track, chroma_cens": librosa_by("chroma_cens"),
    "librosa feature.tempo": librosa_tempo,
    "essentia, bgate": essentia_by("bgate"),
    "essentia, temperley": essentia_by("temperley"),
    "essentia, krumhansl": essentia_by("krumhansl"),
}


def best_key(classes: "np.ndarray[Any, Any]") -> str:
    """The key whose profile correlates best with how much each of 12 pitch classes, from C up, sounds."""
    fits = {
        names[tonic] + mode: np.corrcoef(np.roll(profile, tonic), classes)[0, 1]
        for names, mode, profile in (
            (MAJOR_NAMES, " major", KRUMHANSL_MAJOR),
            (MINOR_NAMES, " minor", KRUMHANSL_MINOR),
        )
        for tonic in range(12)
    }
    return max(fits, key=lambda name: fits[name])


def spelled(tonic: str, mode: str) -> str:
    """The studio's name of a key."""
    for names in (MAJOR_NAMES, MINOR_NAMES):
        if tonic in names:
            index = names.index(tonic)
            return f"{(MAJOR_NAMES if mode == 'major' else MINOR_NAMES)[index]} {mode}"
    return spelled(FLATS[tonic], mode)
