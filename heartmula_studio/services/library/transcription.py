"""Proposing lyrics: those that are heard, or, where somebody has written them, the times at which they are sung."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.codec.audio_file import read_blocks
from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.dataset.lyrics import is_timed
from heartmula_studio.lyrics.alignment import align
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.lyrics.parsing import parse_lyrics
from heartmula_studio.lyrics.transcript import TimedLyrics, as_lyrics
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile

if TYPE_CHECKING:
    from torch import Tensor

    from heartmula_studio.codec.transcriber import ReadBlocks, Transcriber, Transcript
    from heartmula_studio.codec.vocals import VocalSeparator

MIN_CONFIDENCE = 0.1
"""Nothing is proposed below it: the words that somebody wrote are then those of another song."""


class LyricsAnalyzer:
    """An `Analyzer`: proposes lyrics for tracks that have none, and times for lyrics that have none.

    Lyrics with times, and those without words ("[instrumental]"), are left as they are.
    """

    def __init__(
        self,
        name: str,
        language: str,
        load: Callable[[], "Transcriber"],
        separator: str = "",
        load_separator: Callable[[], "VocalSeparator"] | None = None,
    ):
        """name: of the model, which `load` loads with the first track. `language` is found out where it is "".

        separator: the name of the model that `load_separator` loads, where the voice is separated first.
        """
        self.source = f"transcription by {name}" + (f" of vocals by {separator}" if load_separator else "")
        self._language, self._load, self._load_separator = language, load, load_separator
        self._lock = threading.Lock()
        self._transcriber: Transcriber | None = None
        self._separator: VocalSeparator | None = None

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
            read: ReadBlocks = read_blocks
            if self._load_separator:
                self._separator = self._separator or self._load_separator()
                read, progress = _voice_first(self._separator, track.duration_sec, progress, cancelled)
            transcript = self._transcriber.transcribe(audio, self._language, progress, cancelled, read)
        return lyrics_findings(transcript, track.caption)


def _voice_first(
    separator: "VocalSeparator", duration_sec: float, progress: Progress, cancelled: Cancelled
) -> "tuple[ReadBlocks, Progress]":
    """Return what reads the voice alone, as the first half of the work, and the progress of the other half."""

    def read(path: Path, sample_rate_hz: int, block_samples: int) -> "Iterator[Tensor]":
        done, total = 0, max(1, round(duration_sec * sample_rate_hz))
        for block in separator.read_blocks(path, sample_rate_hz, block_samples, cancelled):
            done += block.shape[1]
            progress(min(done, total), 2 * total)
            yield block

    return read, lambda done, total: progress(total + done, 2 * total)


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
