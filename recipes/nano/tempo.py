"""Tempo as a tag. Apart from MIDI, so that it needs no library that only rendering does."""

TEMPO_CLASSES = ("slow", "medium", "fast")


def tempo_class(bpm: float) -> str:
    """One of TEMPO_CLASSES."""
    return "slow" if bpm < 90 else "medium" if bpm < 130 else "fast"
