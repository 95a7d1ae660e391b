"""Proposing tags: those of the model's own list that describe a recording best, and whether it is sung."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile

if TYPE_CHECKING:
    from torch import Tensor

    from heartmula_studio.codec.tagger import Tagger

MAX_TAGS = 5
MIN_PROBABILITY = 0.08  # of a tag among all, where each of sixty has 0.017 by chance
MIN_VOICE_PROBABILITY = 0.7
INSTRUMENTAL = "instrumental"
VOICES = {"male vocal": "a song sung by a man", "female vocal": "a song sung by a woman"}
"""Which of the list say what kind of voice there is, and how they are described."""

WITHOUT_VOICE, WITH_VOICE = "instrumental music without vocals", "a song with a singing voice"


class TagAnalyzer:
    """An `Analyzer`; it listens to a track once."""

    def __init__(self, name: str, tags: Sequence[str], load: Callable[[], "Tagger"]):
        """name: of the model, which `load` loads with the first track."""
        self.source = f"tags by {name}"
        self._tags = [tag for tag in tags if tag != INSTRUMENTAL and tag not in VOICES]
        self._load, self._lock = load, threading.Lock()
        self._tagger: Tagger | None = None
        self._texts: tuple[Tensor, Tensor, Tensor] | None = None

    def is_done(self, track: AudioFile) -> bool:
        return self.source in track.analyzed_by

    def find(self, audio: Path, track: AudioFile, progress: Progress, cancelled: Cancelled) -> list[Finding]:
        """Raises a subclass of AudioError, CheckpointError, CancelledError."""
        with self._lock:
            tagger = self._tagger = self._tagger or self._load()
            self._texts = self._texts or self._embedded(tagger)
            sound = tagger.audio_embedding(audio, cancelled)
            of_tags, of_voice, of_voices = (tagger.probabilities(sound, texts).tolist() for texts in self._texts)
        tags = dict(zip(self._tags, of_tags, strict=True))
        voices = dict(zip(VOICES, of_voices, strict=True))
        return tag_findings(tags, of_voice[1], voices)

    def _embedded(self, tagger: "Tagger") -> "tuple[Tensor, Tensor, Tensor]":
        return (
            tagger.text_embeddings([f"This is {tag} music." for tag in self._tags]),
            tagger.text_embeddings([WITHOUT_VOICE, WITH_VOICE]),
            tagger.text_embeddings(list(VOICES.values())),
        )


def tag_findings(tags: dict[str, float], sung: float, voices: dict[str, float]) -> list[Finding]:
    """Return the likeliest tags, and what is clear of the voice. `sung` and `voices` are probabilities, as `tags` are.

    The kind of voice counts only where there is one.
    """
    likely = sorted(tags, key=lambda tag: -tags[tag])[:MAX_TAGS]
    found = [Finding("tag", tag, round(tags[tag], 2)) for tag in likely if tags[tag] >= MIN_PROBABILITY]
    if 1 - sung >= MIN_VOICE_PROBABILITY:
        found.append(Finding("vocals", INSTRUMENTAL, round(1 - sung, 2)))
    voice = max(voices, key=lambda voice: voices[voice])
    if sung >= MIN_VOICE_PROBABILITY and voices[voice] >= MIN_VOICE_PROBABILITY:
        found.append(Finding("vocals", voice, round(sung * voices[voice], 2)))
    return found
