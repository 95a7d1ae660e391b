"""Tempo and key of pieces made on the spot. `benchmarks.tempo_and_key` plays others on sampled instruments."""

import numpy as np
import pytest
import soundfile

from heartmula_studio.codec.tempo_and_key import (
    MAJOR_NAMES,
    MINOR_NAMES,
    ONSETS_PER_SEC,
    TempoAndKey,
    find_tempo_and_key,
    key_of,
    tempo_of,
)
from heartmula_studio.errors import AudioError

RATE_HZ, BARS = 22_050, 6
PROGRESSIONS = {
    "major": ((0, 4, 7), (9, 0, 4), (5, 9, 0), (7, 11, 2)),
    "minor": ((0, 3, 7), (8, 0, 3), (5, 8, 0), (7, 10, 2)),
}
# Tempo, tonic, mode, beats of a bar, and how far it is out of tune, in semitones.
PIECES = [
    *((67 + 9 * tonic, tonic, ("major", "minor")[tonic % 2], 4 - (tonic % 5 == 3), 0.0) for tonic in range(12)),
    (97.3, 7, "minor", 4, 0.3),
    (124, 2, "major", 4, -0.25),
]


def piece(bpm: float, tonic: int, mode: str, beats: int, detuned: float) -> np.ndarray:
    """A chord and a bass note on each beat, and drums. [samples]"""
    noise, beat = np.random.default_rng(tonic), 60 / bpm
    out = np.zeros(int((BARS * beats + 2) * beat * RATE_HZ))

    def play(at_beats: float, sound: np.ndarray) -> None:
        start = int(at_beats * beat * RATE_HZ)
        out[start : start + len(sound)] += sound[: len(out) - start]

    for number in range(BARS * beats):
        chord = PROGRESSIONS[mode][number // beats % 4]
        for pitch in (*(60 + tonic + step for step in chord), 36 + tonic + chord[0]):
            play(number, tone(pitch + detuned, beat))
        play(number, 0.5 * tone(25 - 5 * (number % beats > 0), 0.2))
        play(number + 0.5, 0.1 * noise.normal(size=800) * np.linspace(1, 0, 800))
    return 0.5 * out / np.abs(out).max()


def tone(pitch: float, sec: float) -> np.ndarray:
    time = np.arange(int(sec * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    return np.exp(-4 * time) * sum(np.sin(2 * np.pi * hz * part * time) / part for part in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[tuple[tuple, TempoAndKey]]:
    path = tmp_path_factory.mktemp("pieces") / "piece.wav"
    pairs = []
    for known in PIECES:
        soundfile.write(path, piece(*known), RATE_HZ)
        pairs.append((known, find_tempo_and_key(path)))
    return pairs


def test_tempo_is_right_or_a_clean_octave_off_in_nine_of_ten(found):
    ratios = [heard.bpm / known[0] for known, heard in found]
    right = [any(abs(ratio / octave - 1) <= 0.02 for octave in (0.5, 1, 2)) for ratio in ratios]
    assert sum(right) >= 0.9 * len(right), ratios


def test_the_key_or_its_relative_is_right_in_eight_of_ten(found):
    right = []
    for (_, tonic, mode, *_), heard in found:
        name = (MINOR_NAMES if mode == "minor" else MAJOR_NAMES)[tonic]
        relative = MAJOR_NAMES[(tonic + 3) % 12] if mode == "minor" else MINOR_NAMES[(tonic + 9) % 12]
        right.append(heard.key in (f"{name} {mode}", f"{relative} {'major' if mode == 'minor' else 'minor'}"))
    assert sum(right) >= 0.8 * len(right), found


def test_noise_has_neither_and_silence_is_no_error(tmp_path):
    noise = np.random.default_rng(0).normal(size=20 * RATE_HZ) / 10
    soundfile.write(tmp_path / "noise.wav", noise, RATE_HZ)
    heard = find_tempo_and_key(tmp_path / "noise.wav")
    assert max(heard.bpm_confidence, heard.key_confidence) < 0.1
    assert tempo_of(np.zeros(round(30 * ONSETS_PER_SEC))) == (None, 0.0)
    assert key_of(np.zeros(120)) == (None, 0.0)


def test_what_is_too_short_has_no_tempo(tmp_path):
    soundfile.write(tmp_path / "short.wav", piece(*PIECES[0])[: 3 * RATE_HZ], RATE_HZ)
    heard = find_tempo_and_key(tmp_path / "short.wav")
    assert heard.bpm is None
    assert heard.key is not None


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(AudioError):
        find_tempo_and_key(tmp_path / "nothing.wav")
