"""Pieces at other speeds, pitch and tempo together as a tape plays them: more keys and tempi for the language model.

Versions of a piece share what precedes `--` in their names. The trainer, which holds songs out by a hash of what they
are called, is told `song_name`, so that it holds out all versions of a piece or none.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

import torchaudio.functional as F

from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from recipes.nano.audio import read_stereo, write_flac
from recipes.nano.manifest import VERSION_MARK
from recipes.nano.tempo import TEMPO_CLASSES, tempo_class

AS_WRITTEN = Fraction(1)
# A semitone and a whole tone up and down, but in small numbers: resampling by them is fast.
SPEEDS = (AS_WRITTEN, Fraction(18, 17), Fraction(17, 18), Fraction(9, 8), Fraction(8, 9))


@dataclass(frozen=True)
class Version:
    """A piece of the manifest as it sounds `speed` times as fast."""

    record: dict
    speed: Fraction

    @property
    def name(self) -> str:
        if self.speed == AS_WRITTEN:
            return self.record["id"]
        return f"{self.record['id']}{VERSION_MARK}{self.speed.numerator}_{self.speed.denominator}"

    @property
    def song_name(self) -> str:
        return held_out_alike(self.name, self.record["id"])

    @property
    def tags(self) -> list[str]:
        return tags_at(self.record, float(self.speed))

    @contextmanager
    def audio_file(self, work: Path) -> Iterator[Path]:
        """The file to listen to, for as long as the context lasts."""
        original = work / self.record["file"]
        if self.speed == AS_WRITTEN:
            yield original
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "version.flac"
            write_flac(F.resample(read_stereo(original), self.speed.numerator, self.speed.denominator), path)
            yield path


def held_out_alike(name: str, piece: str) -> str:
    """The name of a version with a number behind it that makes its hash begin as that of the piece's id does.

    `dataset.windows.split_songs` holds out the first tenth in the order of hashes: only the piece at its end can have
    versions on both sides.
    """
    wanted = hash_begins(piece.split(VERSION_MARK)[0])
    names = (name if number == 0 else f"{name}.{number}" for number in count())
    return next(name for name in names if hash_begins(name) == wanted)


def hash_begins(name: str) -> str:
    """The first twelve bits, as hexadecimal digits: 4096 places, for a few hundred pieces."""
    return hashlib.sha256(name.encode()).hexdigest()[:3]


def tags_at(record: dict, speed: float) -> list[str]:
    """A piece's tags; the tempo class changes with the speed where the title tells the tempo, else it is left out."""
    if speed == 1:
        return record["tags"]
    bpm = told_bpm(record)
    tempo = [] if bpm is None else [tempo_class(bpm * speed)]
    return [word for tag in record["tags"] for word in (tempo if tag in TEMPO_CLASSES else [tag])]


def told_bpm(record: dict) -> int | None:
    """The tempo in a piece's title, if it is there."""
    told = re.search(r"(\d+) bpm$", record["title"])
    return int(told[1]) if told else None


def tokens_of(version: Version, work: Path, codec: Codec) -> Tokens:
    """The version's tokens, kept in DIR/tokens/."""
    path = work / "tokens" / codec.codec_id / f"{version.name}.pt"
    if not path.is_file():
        with version.audio_file(work) as audio:
            codec.encode_file(audio).save(path)
    return Tokens.load(path)
