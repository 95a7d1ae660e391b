"""Images for the tests."""

from pathlib import Path

from PIL import Image


def picture(path: Path, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    """Write an image in the format of its suffix."""
    Image.effect_noise(size, 60).convert(mode).save(path)
    return path
