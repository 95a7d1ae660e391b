"""Do two checkouts compute the same, and does the new one open what the old one wrote?

`python -m benchmarks.same_as_before OLD NEW`: both train nano on the bundled clips and make songs, through the shell;
then the server of NEW opens a data folder of OLD's, resumes its jobs and activates its adapters. Losses may differ by
rounding, and samples by one step, and it is said by how much; all else is to be the same bit for bit. Exits with 1
where anything differs more.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile

from benchmarks.likeness import DIFFERENT, Losses, up_to_a_step, up_to_rounding
from benchmarks.older_data import compare, losses_of

TAGS = "fast, techno"
# What both checkouts are to do, whatever the defaults of each are.
SETTINGS = {
    "lora": ("--max-steps", "4", "--epochs", "4", "--window", "10", "--batch-size", "1", "--learning-rate", "0.0012"),
    "full": ("--max-steps", "4", "--epochs", "4", "--window", "10", "--batch-size", "1", "--learning-rate", "0.0001"),
}
# Options that came later, and what was so before them.
LATER = {
    "--learning-rate-factor": "1",
    "--draws-per-epoch": "0",
    "--prior-fraction": "0",
    "--context-noise": "0",
    "--ending": "ends",
    "--ladder-rungs": "0",
}
SONG = ("--tags", TAGS, "--seconds", "4", "--seed", "7", "--guidance", "1.5")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkout")
    parser.add_argument("new", type=Path, metavar="NEW", help="another checkout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = results(arguments.old.resolve(), Path(folder, "old"))
        new = results(arguments.new.resolve(), Path(folder, "new"))
        found = {f"losses of {method}": up_to_rounding(new.losses[method], old.losses[method]) for method in SETTINGS}
        found |= {f"a song {name}": up_to_a_step(new.songs[name], song) for name, song in old.songs.items()}
        found |= compare(arguments.old.resolve(), arguments.new.resolve(), Path(folder, "data"))
    for name, verdict in found.items():
        print(f"{name:46} {verdict}")
    return int(any(verdict.startswith(DIFFERENT) for verdict in found.values()))


@dataclass(frozen=True)
class Results:
    """What a checkout computes: losses by training method, samples of songs by the style that they are made in."""

    losses: Mapping[str, Losses]
    songs: Mapping[str, bytes]


def results(checkout: Path, folder: Path) -> Results:
    clips = checkout / "heartmula_studio" / "assets" / "clips" / "style"
    known = run(checkout, "train", "--help")
    later = [part for option, value in LATER.items() if option in known for part in (option, value)]
    for method, settings in SETTINGS.items():
        train = ("train", str(clips), "--out", str(folder / method), "--tags", TAGS, "--method", method)
        run(checkout, *train, *settings, *later)
    adapter = str(folder / "lora" / "checkpoints" / "last")
    run(checkout, "generate", str(folder / "base.wav"), *SONG)
    run(checkout, "generate", str(folder / "adapter.wav"), *SONG, "--style", adapter)
    return Results(
        {method: losses(folder / method) for method in SETTINGS},
        {
            "of the base": samples(checkout, folder / "base.wav"),
            "with the adapter": samples(checkout, folder / "adapter.wav"),
        },
    )


def run(checkout: Path, *arguments: str) -> str:
    """Run the studio's shell, and return what it prints."""
    command = [sys.executable, "-m", "heartmula_studio", *arguments]
    return subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout


def losses(run_folder: Path) -> Losses:
    lines = (run_folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return losses_of(list(map(json.loads, lines)))


def samples(checkout: Path, song: Path) -> bytes:
    """The sound of a song's codes in whole windows of the codec, which were the only ones before songs kept codes."""
    codes = song.with_name(f"{song.name}.codes.safetensors")
    if codes.exists():
        run(checkout, "detokenize", str(codes), str(song), "--windows", "whole", "--guidance", "1.25")
    return soundfile.read(song, dtype="int16")[0].tobytes()


if __name__ == "__main__":
    sys.exit(main())
