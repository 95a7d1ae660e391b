"""How much memory a dataset's export and import take: `python -m benchmarks.exchange`."""

import argparse
import dataclasses
import multiprocessing
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import table
from heartmula_studio.settings import Settings
from heartmula_studio.store.store import Store
from heartmula_studio.studio import Studio

SAMPLE_RATE_HZ = 48_000
FORMATS = ("folder", "parquet", "webdataset")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="of songs in all (default: %(default)s)")
    parser.add_argument("--songs", type=int, default=25, help="how many they are (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_songs(root / "songs", options.songs, options.mib * 2**20 // options.songs)
        rows = [measure("a folder comes in", import_folder, root)]
        rows += [measure(f"{format} goes out", export, root, format) for format in FORMATS]
        rows += [measure(f"{format} comes in", import_again, root, format) for format in FORMATS]
    print(table([f"{options.mib:,} MiB in {options.songs} songs", "peak (MiB)", "above the start"], rows))


def write_songs(folder: Path, count: int, num_bytes: int) -> None:
    """WAV files of noise, all different."""
    folder.mkdir()
    for number in range(count):
        samples = np.random.default_rng(number).integers(-9000, 9000, num_bytes // 2, np.int16)
        with wave.open(str(folder / f"{number:03d}.wav"), "wb") as file:
            file.setparams((2, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(samples.tobytes())


def measure(label: str, work: Callable[..., None], *arguments: object) -> tuple[str, str, str]:
    """Do the work in a process of its own; return a row with its peak memory, in MiB."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_measured, args=(results, work, *arguments))
    process.start()
    before, peak = results.get()
    process.join()
    return label, f"{peak:,.0f}", f"{peak - before:,.0f}"


def _measured(results: multiprocessing.Queue, work: Callable[..., None], root: Path, *arguments: object) -> None:
    settings = dataclasses.replace(Settings.load({}), data_dir=root / "data", device="cpu", base_model="nano")
    studio = Studio(settings, Store(settings.data_dir, settings.max_upload_bytes, settings.max_files))
    studio.workshop  # noqa: B018
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status_mib("VmRSS")
    work(studio, root, *arguments)
    results.put((before, _status_mib("VmHWM")))


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def import_folder(studio: Studio, root: Path) -> None:
    studio.import_dataset(root / "songs", "Songs")


def export(studio: Studio, root: Path, format: str) -> None:
    id = studio.list_datasets()[0].id
    filename, pieces = studio.workshop.exchange.export(id, format)
    (root / format).mkdir()
    with (root / format / filename).open("wb") as file:
        file.writelines(pieces)


def import_again(studio: Studio, root: Path, format: str) -> None:
    studio.import_dataset(next((root / format).iterdir()), format)


if __name__ == "__main__":
    main()
