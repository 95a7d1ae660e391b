"""Thirty files dropped at once, good and bad ones: the good ones come in, each bad one is named with its reason."""

import pytest
import soundfile
from playwright.sync_api import expect

from tests.e2e.acting import TRAINING_MS, create_dataset, drop_files
from tests.e2e.driving import open_page
from tests.recordings import CLIPS

NUM_GOOD, NUM_BAD = 18, 12


def good_files(folder):
    """Excerpts of real music that differ, in the formats that people have."""
    paths = []
    for number in range(NUM_GOOD):
        samples, rate = soundfile.read(CLIPS[number % len(CLIPS)], start=number * 20_000, frames=6 * 44_100)
        paths.append(folder / f"good {number}.{('mp3', 'wav', 'flac', 'ogg')[number % 4]}")
        soundfile.write(paths[-1], samples, rate)
    return paths


def bad_files(folder):
    """Empty, cut off, disguised, foreign."""
    contents = [b"", b"ID3", b"\xff\xd8\xff\xe0 a picture", b"RIFF\0\0\0\0WAVE", b"<html>", CLIPS[0].read_bytes()[:300]]
    paths = []
    for number in range(NUM_BAD):
        paths.append(folder / f"bad {number}.{('mp3', 'wav', 'exe')[number % 3]}")
        paths[-1].write_bytes(contents[number % len(contents)] + b"x" * (number // len(contents)))
    return paths


@pytest.mark.long
def test_thirty_files_at_once(page, studio, tmp_path):
    files = [*good_files(tmp_path), *bad_files(tmp_path)]
    files.sort(key=lambda path: path.name[-5:])
    open_page(page, studio)
    create_dataset(page, "Thirty")
    drop_files(page, files)
    expect(page.get_by_text(f"{NUM_GOOD} files added.", exact=True)).to_be_visible(timeout=TRAINING_MS)
    expect(page.get_by_text(f"{NUM_BAD} files were refused.", exact=True)).to_be_visible()
    refused = page.locator(".lines-error li")
    expect(refused).to_have_count(NUM_BAD)
    said = refused.all_inner_texts()
    assert all(text.startswith("bad ") and len(text) > 30 for text in said), said
    expect(page.get_by_text(f"{NUM_GOOD} files", exact=True).last).to_be_visible()
