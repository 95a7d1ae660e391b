"""Do two checkouts compute the same, and does the new one open what the old one wrote?

`python -m benchmarks.same_as_before OLD NEW`: both train nano on the bundled clips and make songs, through the shell;
then the server of NEW opens a data folder of OLD's, resumes its jobs and activates its adapters. Exits with 1 where
anything differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import soundfile

from benchmarks.older_data import compare

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
SONG = ("--tags", TAGS, "--seconds", "4", "--seed", "7")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkout")
    parser.add_argument("new", type=Path, metavar="NEW", help="another checkout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = results(arguments.old.resolve(), Path(folder, "old"))
        new = results(arguments.new.resolve(), Path(folder, "new"))
        is_same = {name: value == new[name] for name, value in old.items()}
        is_same |= compare(arguments.old.resolve(), arguments.new.resolve(), Path(folder, "data"))
    for name, same in is_same.items():
        print(f"{name:46} {'same' if same else 'DIFFERENT'}")
    return int(not all(is_same.values()))


def results(checkout: Path, folder: Path) -> Mapping[str, object]:
    """What a checkout computes, in values that can be compared bit for bit."""
    clips = checkout / "heartmula_studio" / "assets" / "clips" / "style"
    known = run(checkout, "train", "--help")
    later = [part for option, value in LATER.items() if option in known for part in (option, value)]
    for method, settings in SETTINGS.items():
        train = ("train", str(clips), "--out", str(folder / method), "--tags", TAGS, "--method", method)
        run(checkout, *train, *settings, *later)
    adapter = str(folder / "lora" / "checkpoints" / "last")
    run(checkout, "generate", str(folder / "base.wav"), *SONG)
    run(checkout, "generate", str(folder / "adapter.wav"), *SONG, "--style", adapter)
    return {
        "losses of a LoRA": losses(folder / "lora"),
        "losses of a full fine-tune": losses(folder / "full"),
        "a song of the base": samples(checkout, folder / "base.wav"),
        "a song with the adapter": samples(checkout, folder / "adapter.wav"),
    }


def run(checkout: Path, *arguments: str) -> str:
    """Run the studio's shell, and return what it prints."""
    command = [sys.executable, "-m", "heartmula_studio", *arguments]
    return subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout


def losses(run_folder: Path) -> list[float]:
    lines = (run_folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, lines) if line.get("event") == "step"]


def samples(checkout: Path, song: Path) -> bytes:
    """The sound of a song's codes in whole windows of the codec, which were the only ones before songs kept codes."""
    codes = song.with_name(f"{song.name}.codes.safetensors")
    if codes.exists():
        run(checkout, "detokenize", str(codes), str(song), "--windows", "whole")
    return soundfile.read(song, dtype="int16")[0].tobytes()


if __name__ == "__main__":
    sys.exit(main())
