"""Real music to test with."""

from pathlib import Path

import heartmula_studio

CLIPS = sorted((Path(heartmula_studio.__file__).parent / "assets" / "clips" / "style").glob("*.ogg"))  # of 24 seconds
SONGS = sorted((Path(__file__).parent / "songs").glob("*.ogg"))  # three seconds of each, under the same names
