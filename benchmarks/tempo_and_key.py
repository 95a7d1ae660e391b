"""How often tempo and key are right, on pieces by the composer of `recipes/nano` played with sampled instruments.

Needs `mido` and FluidSynth with a General MIDI sound bank (Debian: fluidsynth, timgm6mb-soundfont).
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.codec.tempo_and_key import MAJOR_NAMES, MINOR_NAMES, TempoAndKey, find_tempo_and_key
from recipes.nano.compose.composer import KEY_NAMES, compose
from recipes.nano.compose.styles_acoustic import STYLES as ACOUSTIC_STYLES
from recipes.nano.compose.styles_popular import STYLES as POPULAR_STYLES

BANK = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
MAJOR_MODES = ("major", "mixolydian")
TOLERANCE = 0.02


@dataclass(frozen=True)
class Result:
    """What a piece is, in the words of its title ("Tango in F sharp minor, 116 bpm"), and what was heard."""

    title: str
    heard: TempoAndKey

    @property
    def bpm(self) -> int:
        return int(self.title.split()[-2])

    @property
    def keys(self) -> tuple[str, str]:
        """The key and its relative; of the church modes, the one with the same third."""
        name, mode = self.title.split(" in ")[1].split(",")[0].rsplit(" ", 1)
        tonic = KEY_NAMES.index(name)
        if mode in MAJOR_MODES:
            return f"{MAJOR_NAMES[tonic]} major", f"{MINOR_NAMES[(tonic + 9) % 12]} minor"
        return f"{MINOR_NAMES[tonic]} minor", f"{MAJOR_NAMES[(tonic + 3) % 12]} major"

    @property
    def has_tempo(self) -> bool:
        ratio = (self.heard.bpm or 0) / self.bpm
        return any(abs(ratio / octave - 1) <= TOLERANCE for octave in (0.25, 0.5, 1, 2, 4))

    @property
    def has_key(self) -> bool:
        return self.heard.key in self.keys

    @property
    def line(self) -> str:
        heard = self.heard
        tempo = f"{heard.bpm or 0:6.1f} ({heard.bpm_confidence:.2f}){'' if self.has_tempo else ' WRONG'}"
        return f"{self.title}: {tempo}, {heard.key} ({heard.key_confidence:.2f}){'' if self.has_key else ' WRONG'}"


def results(pieces: int, bank: Path) -> Iterator[Result]:
    for style in (*ACOUSTIC_STYLES, *POPULAR_STYLES):
        for seed in range(pieces):
            composition = compose(style, seed)
            with tempfile.TemporaryDirectory() as folder:
                score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
                composition.midi.save(score)
                options = ["-ni", "-q", "-r", "22050", "-g", "0.3", "-T", "wav", "-F", sound, bank, score]
                subprocess.run(["fluidsynth", *options], check=True, capture_output=True)
                yield Result(composition.work.title, find_tempo_and_key(sound))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=1, help="of each style (default: %(default)s)")
    parser.add_argument("--bank", type=Path, default=BANK, help="sound bank (default: %(default)s)")
    arguments = parser.parse_args()
    found = []
    for result in results(arguments.pieces, arguments.bank):
        found.append(result)
        print(result.line, flush=True)
    count, exact = len(found), sum(result.heard.key == result.keys[0] for result in found)
    print(f"Of {count} pieces, the tempo, or it times a power of two, is right within 2 % in ", end="")
    print(f"{sum(result.has_tempo for result in found)}, the key in {exact}, ", end="")
    print(f"it or its relative in {sum(result.has_key for result in found)}.")


if __name__ == "__main__":
    main()
