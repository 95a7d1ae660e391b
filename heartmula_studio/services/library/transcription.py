"""Proposing lyrics: those that are heard, or, where somebody has written them, the times at which they are sung."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.dataset.lyrics import is_timed
from heartmula_studio.lyrics.alignment import align
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.lyrics.parsing import parse_lyrics
from heartmula_studio.lyrics.transcript import TimedLyrics, as_lyrics
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile

if TYPE_CHECKING:
    from heartmula_studio.codec.transcriber import Transcriber, Transcript

MIN_CONFIDENCE = 0.1
"""Nothing is proposed below it: the words that somebody wrote are then those of another song."""


class LyricsAnalyzer:
    """An `Analyzer`: proposes lyrics for tracks that have none, and times for lyrics that have none.

    Lyrics with times, and those without words ("[instrumental]"), are left as they are.
    """

    def __init__(self, name: str, language: str, load: Callable[[], "Transcriber"]):
        """name: of the model, which `load` loads with the first track. `language` is found out where it is ""."""
        self.source = f"transcription by {name}"
        self._language, self._load = language, load
        self._lock = threading.Lock()
        self._transcriber: Transcriber | None = None

    def is_done(self, track: AudioFile) -> bool:
        """Whether it has listened, and nobody has changed the lyrics since it proposed others."""
        if is_timed(track.caption) or (track.caption.strip() and not _has_words(track.caption)):
            return True
        mine = [one for one in track.proposals if one.source == self.source]
        if mine:
            return any(track.caption in (one.replaces, one.value) for one in mine)
        return self.source in track.analyzed_by

    def find(self, audio: Path, track: AudioFile, progress: Progress, cancelled: Cancelled) -> list[Finding]:
        """Raises a subclass of AudioError, InvalidInputError, CheckpointError, CancelledError."""
        with self._lock:
            self._transcriber = self._transcriber or self._load()
            transcript = self._transcriber.transcribe(audio, self._language, progress, cancelled)
        return lyrics_findings(transcript, track.caption)


def lyrics_findings(transcript: "Transcript", written: str) -> list[Finding]:
    """Return the one proposal that a transcript gives for a track with these lyrics; none where nothing was heard.

    Raises InvalidInputError for lyrics too long to be looked for.
    """
    heard = align(written, transcript.words) if _has_words(written) else as_lyrics(transcript.segments)
    if not heard.text or heard.confidence < MIN_CONFIDENCE:
        return []
    return [_finding(heard, transcript.language, written)]


def _finding(heard: TimedLyrics, language: str, written: str) -> Finding:
    confidence = round(heard.confidence, 2)
    return Finding("lyrics", checked_lyrics(heard.text), confidence, language, heard.line_confidences, written)


def _has_words(lyrics: str) -> bool:
    return any(line.text for line in parse_lyrics(lyrics))
