"""A song on disk: the audio file, its receipt and its codes, all of them or none."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from heartmula_studio.codec.audibility import LevelMeter
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.generate.receipt import Receipt, codes_path, receipt_path
from heartmula_studio.generate.song_codes import SongCodes

MADE_WITH = "Made with HeartMuLa Training Studio"
RECEIPT_TAG = "heartmula_receipt"
Listener = Callable[[Tensor], None]
"""Hears a song while it is made: finished stretches [2, n] in order."""


@dataclass(frozen=True)
class GeneratedSong:
    """A finished song: the audio file, how it was made, and whether anybody can hear it."""

    path: Path
    receipt: Receipt
    is_audible: bool


class SoundDigest:
    """The SHA-256 of samples that come in stretches: little-endian float32, both channels of one after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, stretch: Tensor) -> None:
        """stretch: [2, n]"""
        self._digest.update(stretch.T.contiguous().numpy().astype("<f4").tobytes())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class SongWriter:
    """Writes one song. Made before the song is, so that a wrong suffix is refused before minutes are spent."""

    def __init__(self, out_path: Path, sample_rate_hz: int):
        """Raises InvalidInputError for a suffix that cannot be written."""
        self._audio = AudioWriter(out_path, sample_rate_hz)

    def write(
        self,
        sound: Iterable[Tensor],
        made: Callable[[], tuple[SongCodes, Receipt]],
        listener: Listener | None = None,
    ) -> GeneratedSong:
        """Write finished stretches [2, n], the receipt into the file's tags and as JSON beside it, and the codes.

        `made` is asked for codes and receipt when all is decoded; the receipt gets the hashes of codes and sound.
        `listener` hears each stretch as soon as it is there. Nothing is left where `sound` raises, or the disk refuses.
        """
        path, level, digest = self._audio.path, LevelMeter(), SoundDigest()
        # Left in reverse order: the audio appears first, so that receipt and codes never stand alone.
        with (
            replaced_file(codes_path(path)) as codes_file,
            replaced_file(receipt_path(path)) as receipt_file,
            self._audio,
        ):
            for stretch in sound:
                level.add(stretch)
                digest.add(stretch)
                self._audio.write(stretch)
                if listener:
                    listener(stretch)
            codes, receipt = made()
            codes.save(codes_file)
            receipt = replace(receipt, codes_sha256=codes.sha256, sound_sha256=digest.sha256)
            self._audio.tags = {"comment": MADE_WITH, RECEIPT_TAG: receipt.to_json()}
            receipt_file.write_text(receipt.to_json() + "\n", encoding="utf-8")
        return GeneratedSong(path, receipt, level.is_audible)
