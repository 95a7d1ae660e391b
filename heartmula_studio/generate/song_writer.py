"""A song on disk: the audio file, its receipt and its codes, all of them or none."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from heartmula_studio.codec.audibility import UNHEARD, LevelMeter
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.loudness import Leveller
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.generate.receipt import Receipt, codes_path, receipt_path
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_tags import song_tags

LOUDNESS_TOLERANCE = 0.1  # that EBU Tech 3341 allows a meter
Listener = Callable[[Tensor], None]
"""Hears a song while it is made: finished stretches [2, n] in order."""


@dataclass(frozen=True)
class GeneratedSong:
    """A finished song: the audio file, how it was made, and whether anybody can hear it."""

    path: Path
    receipt: Receipt
    is_audible: bool

    @property
    def note(self) -> str:
        """What its maker has to know of it; empty where all is as was asked for."""
        wanted_lufs, lufs = self.receipt.request.loudness_lufs, self.receipt.loudness_lufs
        if not self.is_audible:
            return UNHEARD
        if wanted_lufs is None or (lufs is not None and abs(lufs - wanted_lufs) < LOUDNESS_TOLERANCE):
            return ""
        if lufs is None:
            return "It is too short for its loudness to be measured, and stays as it was made."
        return f"It is at {lufs:.1f} LUFS: any louder, and its peaks would be clipped."


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

    def __init__(self, out_path: Path, sample_rate_hz: int, loudness_lufs: float | None = None):
        """loudness_lufs: as `SongRequest` has it. Raises InvalidInputError for a suffix that cannot be written."""
        self._audio = AudioWriter(out_path, sample_rate_hz)
        self._loudness_lufs = loudness_lufs

    def write(
        self,
        sound: Iterable[Tensor],
        made: Callable[[], tuple[SongCodes, Receipt]],
        listener: Listener | None = None,
    ) -> GeneratedSong:
        """Write finished stretches [2, n], the receipt into the file's tags and as JSON beside it, and the codes.

        `made` is asked for codes and receipt when all is decoded; the receipt gets the hashes of codes and sound, and
        what was done to the loudness. `listener` hears each stretch as soon as it is there, as it was decoded. Nothing
        is left where `sound` raises, or the disk refuses.
        """
        path, level, digest = self._audio.path, LevelMeter(), SoundDigest()
        wanted_lufs = self._loudness_lufs
        leveller = None if wanted_lufs is None else Leveller(wanted_lufs, self._audio.sample_rate_hz, path.parent)

        def heard() -> Iterator[Tensor]:
            for stretch in sound:
                level.add(stretch)
                digest.add(stretch)
                if listener:
                    listener(stretch)
                yield stretch

        # Left in reverse order: the audio appears first, so that receipt and codes never stand alone.
        with (
            replaced_file(codes_path(path)) as codes_file,
            replaced_file(receipt_path(path)) as receipt_file,
            self._audio,
        ):
            for stretch in leveller.level(heard()) if leveller else heard():
                self._audio.write(stretch)
            codes, receipt = made()
            codes.save(codes_file)
            receipt = replace(receipt, codes_sha256=codes.sha256, sound_sha256=digest.sha256)
            if leveller:
                receipt = replace(receipt, gain_db=leveller.gain_db, loudness_lufs=leveller.lufs)
            self._audio.tags = song_tags(receipt)
            receipt_file.write_text(receipt.to_json() + "\n", encoding="utf-8")
        return GeneratedSong(path, receipt, level.is_audible)
