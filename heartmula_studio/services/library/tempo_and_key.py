"""Proposing tempo and key as tags: each track is listened to once, and what was found of it is kept at once."""

import threading
from collections.abc import Iterator

from heartmula_studio.codec.control import check_cancelled
from heartmula_studio.codec.tempo_and_key import TempoAndKey, find_tempo_and_key
from heartmula_studio.errors import AudioError, NotFoundError
from heartmula_studio.files.public_text import public
from heartmula_studio.store.datasets import Datasets
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile
from heartmula_studio.store.views import TrackProposals

SOURCE = "tempo and key"
MIN_TEMPO_CONFIDENCE, MIN_KEY_CONFIDENCE = 0.1, 0.1
"""Nothing is proposed below these. Noise stays below them, and of the benchmark's keys there four in ten are wrong."""


class TempoAndKeyFinder:
    """Any thread may look at any dataset."""

    def __init__(self, datasets: Datasets, closing: threading.Event):
        """Once `closing` is set, it stops before the next recording."""
        self._datasets, self._closing = datasets, closing

    def find(self, id: str) -> Iterator[TrackProposals]:
        """Yield what is proposed for each track; those that anything was found of earlier are not decoded again.

        Raises NotFoundError, StorageError, and CancelledError when it closes.
        """
        for track in self._datasets.get(id).audio_files:
            check_cancelled(self._closing.is_set)
            try:
                yield TrackProposals(track.filename, self._proposed(id, track).proposals)
            except AudioError as error:
                yield TrackProposals(track.filename, track.proposals, public(error.message))
            except NotFoundError:  # it was removed meanwhile
                self._datasets.get(id)

    def _proposed(self, id: str, track: AudioFile) -> AudioFile:
        if any(proposal.source == SOURCE for proposal in track.proposals):
            return track
        found = find_tempo_and_key(self._datasets.audio_path(id, track.filename))
        return self._datasets.propose(id, track.filename, SOURCE, findings(found))


def findings(found: TempoAndKey) -> list[Finding]:
    """Tempo and key as tags, but for what is hardly better than a guess."""
    tags = []
    if found.bpm is not None and found.bpm_confidence >= MIN_TEMPO_CONFIDENCE:
        tags.append(Finding("tempo", f"{found.bpm:.0f} bpm", round(found.bpm_confidence, 2)))
    if found.key is not None and found.key_confidence >= MIN_KEY_CONFIDENCE:
        tags.append(Finding("key", found.key, round(found.key_confidence, 2)))
    return tags
