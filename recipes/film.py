"""A film of the page: pictures that are each shown for a while, written as one animated WebP."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

QUALITY = 55
SHORTEST_MS = 40  # browsers show shorter pictures for longer


@dataclass
class Film:
    """`size`: width and height of its pictures in pixels; `durations_ms`: how long each is shown."""

    page: Page
    size: tuple[int, int]
    pictures: list[Image.Image] = field(default_factory=list)
    durations_ms: list[int] = field(default_factory=list)

    def shoot(self, milliseconds: int) -> None:
        """Take what the page shows now."""
        with Image.open(io.BytesIO(self.page.screenshot())) as shown:
            self.pictures.append(shown.convert("RGB").resize(self.size, Image.Resampling.LANCZOS))
        self.durations_ms.append(milliseconds)

    def fit(self, first: int, milliseconds: int) -> None:
        """Show the pictures from number `first` on for so long together, each as long as the others."""
        count = len(self.pictures) - first
        self.durations_ms[first:] = [max(SHORTEST_MS, milliseconds // max(1, count))] * count

    def save(self, path: Path) -> None:
        beginning, *rest = self.pictures
        beginning.save(
            path, save_all=True, append_images=rest, duration=self.durations_ms, loop=0, quality=QUALITY, method=4
        )
