"""Make the training set: real recordings first, then rendered MIDI, composed pieces, more renderings.

`python -m recipes.nano.prepare --work DIR` writes DIR/audio/<id>.flac and DIR/manifest.jsonl, which is rewritten
after every piece, so training can start on what is there. What is done already is not done again.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from recipes.nano.audio import normalise, trim, write_flac
from recipes.nano.compose.composer import compose
from recipes.nano.compose.styles import STYLES
from recipes.nano.freedoom import Score, scores, vary
from recipes.nano.manifest import Work, write_manifest
from recipes.nano.recordings import recordings
from recipes.nano.synthesis import FLUID_BANK, MUSESCORE_BANK, render

PIECES_PER_STYLE = 12
TEST_PIECES_PER_STYLE = 4
FIRST_PIECES = 4


@dataclass(frozen=True)
class Piece:
    """A work and how to get its waveform, [2, samples] at 24 kHz."""

    work: Work
    waveform: Callable[[], Tensor]


def recorded_pieces(packages: Path) -> Iterator[Piece]:
    for recording in recordings():
        if recording.demo is None:
            yield Piece(recording.work, partial(recording.read, packages))


def rendered_pieces(versions: Iterable[Score], bank: Path) -> Iterator[Piece]:
    return (Piece(score.work, partial(score.play, bank)) for score in versions)


def composed_pieces(packages: Path, seeds: Sequence[int | str]) -> Iterator[Piece]:
    """One piece of every style, then the next of every style; every fourth round plays on the other sound bank."""
    for number, seed in enumerate(seeds):
        bank = packages / (MUSESCORE_BANK if number % 4 == 3 else FLUID_BANK)
        for style in STYLES:
            composition = compose(style, seed)
            yield Piece(composition.work, partial(render, composition.midi, bank))


def later_pieces(packages: Path, pieces_per_style: int) -> list[Piece]:
    """Composed pieces that came after the first, without those that a hash would hold out: figures stay comparable."""
    test = composed_pieces(packages, [f"test{number}" for number in range(TEST_PIECES_PER_STYLE)])
    more = composed_pieces(packages, range(FIRST_PIECES, pieces_per_style))
    return [*test, *(piece for piece in more if piece.work.split == "train")]


def all_pieces(packages: Path, pieces_per_style: int = PIECES_PER_STYLE) -> list[Piece]:
    """The training set in the order it is made; second versions of rendered pieces come last."""
    originals = list(scores(packages))
    return [
        *recorded_pieces(packages),
        *rendered_pieces(originals, packages / FLUID_BANK),
        *composed_pieces(packages, range(FIRST_PIECES)),
        *rendered_pieces(vary(originals), packages / MUSESCORE_BANK),
        *later_pieces(packages, pieces_per_style),
    ]


def path_of(piece: Piece, audio: Path) -> Path:
    return audio / f"{piece.work.id}.flac"


def produce(piece: Piece, audio: Path) -> float:
    """Write the piece's audio and return its duration in seconds."""
    return write_flac(normalise(trim(piece.waveform())), path_of(piece, audio))


def prepare(pieces: Sequence[Piece], work: Path, jobs: int) -> list[dict]:
    """Produce the pieces that are missing, in order, keeping the manifest up to date. Returns its records."""
    audio = work / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    done = [piece for piece in pieces if path_of(piece, audio).exists()]
    durations = {piece.work.id: soundfile.info(path_of(piece, audio)).duration for piece in done}
    missing = [piece for piece in pieces if piece.work.id not in durations]
    with ThreadPoolExecutor(jobs) as pool:
        for piece, duration_sec in zip(missing, pool.map(partial(produce, audio=audio), missing), strict=True):
            durations[piece.work.id] = duration_sec
            write_manifest(records(pieces, durations), work / "manifest.jsonl")
            print(f"{piece.work.id} {duration_sec:.0f} s", flush=True)
    write_manifest(records(pieces, durations), work / "manifest.jsonl")
    return records(pieces, durations)


def records(pieces: Sequence[Piece], durations: Mapping[str, float]) -> list[dict]:
    return [piece.work.record(durations[piece.work.id]) for piece in pieces if piece.work.id in durations]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that recipes.nano.fetch filled")
    parser.add_argument("--jobs", type=int, default=1, help="pieces made at the same time")
    parser.add_argument("--pieces-per-style", type=int, default=PIECES_PER_STYLE, help="composed ones")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pieces = all_pieces(arguments.work / "x", arguments.pieces_per_style)
    manifest = prepare(pieces, arguments.work, arguments.jobs)
    hours = sum(record["duration_sec"] for record in manifest) / 3600
    print(f"{len(manifest)} pieces, {hours:.2f} hours")


if __name__ == "__main__":
    main()
