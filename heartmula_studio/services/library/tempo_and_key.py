"""Proposing tempo and key as tags."""

from pathlib import Path

from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.codec.tempo_and_key import TempoAndKey, find_tempo_and_key
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile

SOURCE = "tempo and key"
MIN_TEMPO_CONFIDENCE, MIN_KEY_CONFIDENCE = 0.1, 0.1
"""Nothing is proposed below these. Noise stays below them, and of the benchmark's keys there four in ten are wrong."""


class TempoAndKeyAnalyzer:
    """An `Analyzer` that needs no model; a track is listened to once, also one in which neither was clear."""

    source = SOURCE

    def is_done(self, track: AudioFile) -> bool:
        return SOURCE in track.analyzed_by or any(proposal.source == SOURCE for proposal in track.proposals)

    def find(self, audio: Path, track: AudioFile, progress: Progress, cancelled: Cancelled) -> list[Finding]:
        """Raises a subclass of AudioError, CancelledError."""
        return findings(find_tempo_and_key(audio, cancelled))


def findings(found: TempoAndKey) -> list[Finding]:
    """Tempo and key as tags, but for what is hardly better than a guess."""
    tags = []
    if found.bpm is not None and found.bpm_confidence >= MIN_TEMPO_CONFIDENCE:
        tags.append(Finding("tempo", f"{found.bpm:.0f} bpm", round(found.bpm_confidence, 2)))
    if found.key is not None and found.key_confidence >= MIN_KEY_CONFIDENCE:
        tags.append(Finding("key", found.key, round(found.key_confidence, 2)))
    return tags
