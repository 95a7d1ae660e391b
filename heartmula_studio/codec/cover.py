"""Cover images inside audio files: an APIC frame in MP3 and WAV, a PICTURE block in FLAC, the same as text in Opus.

APIC: https://id3.org/id3v2.4.0-frames, 4.14. PICTURE: RFC 9639, 8.8. In Vorbis comments, METADATA_BLOCK_PICTURE in
base64: https://wiki.xiph.org/VorbisComment#METADATA_BLOCK_PICTURE.
"""

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, Encoding, PictureType
from PIL import Image, UnidentifiedImageError

from heartmula_studio.codec.tags import PICTURE
from heartmula_studio.errors import InvalidInputError, NotAnImageError, NotFoundError, UploadTooLargeError

MAX_COVER_BYTES = 5_000_000
MIN_SIDE, MAX_SIDE = 32, 4096  # in pixels
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
ALLOWED = f"Give a JPEG or PNG of at most {MAX_COVER_BYTES // 1_000_000} MB, {MIN_SIDE} to {MAX_SIDE} pixels a side."


@dataclass(frozen=True)
class Cover:
    """A front cover: the bytes of an image file, as they were given."""

    data: bytes
    media_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int
    bits_per_pixel: int

    @classmethod
    def read(cls, path: Path) -> "Cover":
        """Read an image file. Raises as `of`, UploadTooLargeError, NotFoundError and InvalidInputError without one."""
        try:
            if (num_bytes := path.stat().st_size) > MAX_COVER_BYTES:
                raise UploadTooLargeError(f"The image has {num_bytes:,} bytes.", ALLOWED)
            return cls.of(path.read_bytes())
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no file {path.name}.", ALLOWED) from error
        except OSError as error:
            raise InvalidInputError(f"{path.name} cannot be read: {error.strerror}.", ALLOWED) from error

    @classmethod
    def of(cls, data: bytes) -> "Cover":
        """Look at the bytes of an image file, and decode all of it.

        Raises NotAnImageError for what is damaged or neither JPEG nor PNG, and InvalidInputError for an image that is
        too small or too large.
        """
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                width, height = image.size
                if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
                    raise InvalidInputError(f"The image has {width} × {height} pixels.", ALLOWED)
                media_type: Literal["image/jpeg", "image/png"] = "image/png" if image.format == "PNG" else "image/jpeg"
                bits = 8 * len(image.getbands())
                image.load()
        except UnidentifiedImageError as error:
            raise NotAnImageError("The file is neither a JPEG nor a PNG, whatever its name says.", ALLOWED) from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise NotAnImageError(f"The image is damaged: {error}.", ALLOWED) from error
        return cls(data, media_type, width, height, bits)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def suffix(self) -> str:
        """What the name of its file ends in."""
        return SUFFIXES[self.media_type]


def write_cover(path: Path, cover: Cover | None) -> None:
    """Put a cover into a WAV, FLAC, MP3 or Opus file in place of any other, or take it out. Raises MutagenError."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.delall("APIC")
        if cover:
            file.tags.add(_frame(cover))
    elif isinstance(file, FLAC):
        file.clear_pictures()
        if cover:
            file.add_picture(_picture(cover))
    else:
        file.tags[PICTURE] = [base64.b64encode(_picture(cover).write()).decode("ascii")] if cover else []
    file.save()


def read_cover(path: Path) -> Cover | None:
    """Return the cover that `write_cover` put into a file; None without one. Raises MutagenError, and as `Cover.of`."""
    file = mutagen.File(path)
    if file is None or file.tags is None:
        return None
    if isinstance(file.tags, ID3):
        images = [frame.data for frame in file.tags.getall("APIC")]
    elif isinstance(file, FLAC):
        images = [picture.data for picture in file.pictures]
    else:
        images = [Picture(base64.b64decode(text)).data for text in file.tags.get(PICTURE, [])]
    return Cover.of(images[0]) if images else None


def _frame(cover: Cover) -> APIC:
    kind = PictureType.COVER_FRONT
    return APIC(encoding=Encoding.LATIN1, mime=cover.media_type, type=kind, desc="", data=cover.data)


def _picture(cover: Cover) -> Picture:
    picture = Picture()
    picture.type, picture.mime, picture.data = PictureType.COVER_FRONT, cover.media_type, cover.data
    picture.width, picture.height, picture.depth = cover.width, cover.height, cover.bits_per_pixel
    return picture
