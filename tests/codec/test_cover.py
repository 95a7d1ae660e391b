"""Cover images: which are taken, and what is said of the others."""

import io
import random
from contextlib import suppress

import pytest
from PIL import Image

from heartmula_studio.codec.cover import MAX_COVER_BYTES, Cover
from heartmula_studio.errors import InvalidInputError, NotAnImageError, NotFoundError, StudioError, UploadTooLargeError
from tests.pictures import picture


def encoded(format: str, size: tuple[int, int] = (64, 48)) -> bytes:
    content = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(content, format)
    return content.getvalue()


@pytest.mark.parametrize(("mode", "bits"), [("RGB", 24), ("RGBA", 32), ("L", 8)])
def test_an_image_is_known_by_its_content_not_by_its_name(tmp_path, mode, bits):
    path = picture(tmp_path / "cover.png", mode=mode).rename(tmp_path / "cover.jpg")
    cover = Cover.read(path)
    assert (cover.media_type, cover.suffix, cover.width, cover.height) == ("image/png", ".png", 64, 48)
    assert (cover.bits_per_pixel, cover.data) == (bits, path.read_bytes())
    assert Cover.of(encoded("JPEG")).media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", NotAnImageError, "neither"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NotAnImageError, "neither"),
        (encoded("GIF"), NotAnImageError, "neither"),
        (encoded("JPEG")[:-400], NotAnImageError, "damaged"),
        (encoded("PNG")[:-400], NotAnImageError, "damaged"),
        (encoded("PNG", (31, 64)), InvalidInputError, "31 × 64 pixels"),
        (encoded("PNG", (4097, 32)), InvalidInputError, "4097 × 32 pixels"),
    ],
)
def test_what_is_no_cover_is_refused(content, error, said):
    with pytest.raises(error, match=said) as refusal:
        Cover.of(content)
    assert "JPEG or PNG" in refusal.value.hint


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(MAX_COVER_BYTES + 1))
    for name, error in (("large.png", UploadTooLargeError), ("none.png", NotFoundError), (".", InvalidInputError)):
        with pytest.raises(error):
            Cover.read(tmp_path / name)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_damaged_images_are_refused_or_read(format):
    chance, content = random.Random(1), encoded(format)
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with suppress(StudioError):
            Cover.of(bytes(damaged))
