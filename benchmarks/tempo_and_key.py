"""How often tempo and key are right, on pieces by the composer of `recipes/nano` played with sampled instruments.

Needs `mido` and FluidSynth with a General MIDI sound bank (Debian: fluidsynth, timgm6mb-soundfont).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.key_finders import FINDERS
from benchmarks.report import table
from heartmula_studio.codec.tempo_and_key import MAJOR_NAMES, MINOR_NAMES, TempoAndKey
from recipes.nano.compose.composer import KEY_NAMES, compose
from recipes.nano.compose.styles import STYLES

BANK = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
MAJOR_MODES = ("major", "mixolydian")
TOLERANCE = 0.02
HEADS = ("program", "pieces", "tempo", "key", "key or its relative", "seconds of a core")


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


def rendered(pieces: int, bank: Path) -> Iterator[tuple[str, Path]]:
    """Yield the title of each piece, and a recording of it that is gone when the next is asked for."""
    for style in STYLES:
        for seed in range(pieces):
            composition = compose(style, seed)
            with tempfile.TemporaryDirectory() as folder:
                score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
                composition.midi.save(score)
                options = ["-ni", "-q", "-r", "22050", "-g", "0.3", "-T", "wav", "-F", sound, bank, score]
                subprocess.run(["fluidsynth", *options], check=True, capture_output=True)
                yield composition.work.title, sound


def row(name: str, found: Sequence[Result], seconds: float) -> list[str]:
    exact = sum(result.heard.key == result.keys[0] for result in found)
    counts = sum(result.has_tempo for result in found), exact, sum(result.has_key for result in found)
    shares = [f"{count} ({100 * count / len(found):.0f} %)" for count in counts]
    return [name, str(len(found)), *shares, f"{seconds:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=1, help="of each style (default: %(default)s)")
    parser.add_argument("--bank", type=Path, default=BANK, help="sound bank (default: %(default)s)")
    parser.add_argument("--with", dest="finders", nargs="+", choices=FINDERS, default=["studio"], help="which programs")
    arguments = parser.parse_args()
    found: dict[str, list[Result]] = {name: [] for name in arguments.finders}
    seconds = dict.fromkeys(found, 0.0)
    for title, sound in rendered(arguments.pieces, arguments.bank):
        for name, results in found.items():
            began = time.process_time()
            results.append(Result(title, FINDERS[name](sound)))
            seconds[name] += time.process_time() - began
            print(f"{name}: {results[-1].line}", file=sys.stderr, flush=True)
    print(table(HEADS, [row(name, results, seconds[name]) for name, results in found.items()]))


if __name__ == "__main__":
    main()
