"""Four spoken lines, when each is said, and a small Whisper that knows them."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent
MODEL, SPOKEN = FOLDER / "Whisper-spoken", FOLDER / "spoken.ogg"
SPOKEN_LINES: list[tuple[str, float, float]] = [
    (line, start_sec, end_sec) for line, start_sec, end_sec in json.loads((FOLDER / "spoken.json").read_text())
]
