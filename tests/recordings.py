"""Real music to test with."""

from pathlib import Path

from heartmula_studio.arch.checkpoints import ASSETS

CLIPS = sorted((ASSETS / "clips" / "style").glob("*.ogg"))  # of 24 seconds
SONGS = sorted((Path(__file__).parent / "songs").glob("*.ogg"))  # three seconds of each, under the same names
