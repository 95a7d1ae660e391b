"""Receipts as files: the JSON that lies beside a song, or the song itself, which has it in its tags."""

from pathlib import Path

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.song_tags import RECEIPT_TAG


def read_receipt(path: Path) -> Receipt:
    """Read a receipt. Raises NotFoundError, and InvalidInputError where there is none in the file."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", "Give a song, or the .json beside it.")
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        return Receipt.from_json(path.read_text(encoding="utf-8", errors="replace"))
    if text := read_tags(path).get(RECEIPT_TAG):
        return Receipt.from_json(text)
    raise InvalidInputError(f"{path.name} has no receipt in its tags.", "Give the .json that was beside the song.")
