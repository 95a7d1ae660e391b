"""How much memory the exports of a dataset take: `python -m benchmarks.exchange`."""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.report import table
from heartmula_studio.services.library.dataset_exchange import WRITERS, DatasetExchange
from heartmula_studio.settings import Settings
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1025, help="of songs in all (default: %(default)s)")
    parser.add_argument("--songs", type=int, default=25, help="how many they are (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        id = filled(store, options.songs, options.mib // options.songs)
        exchange = DatasetExchange(store, Settings.load({}))
        rows = [measured(exchange, id, format) for format in WRITERS]
    print(table([f"{options.mib:,} MiB in {options.songs} songs", "MiB out", "peak above the start (MiB)"], rows))


def filled(store: Store, count: int, mib: int) -> str:
    """A dataset of files that need not be music: exports do not decode them."""
    id = store.datasets.create_dataset("Songs").id
    for number in range(count):
        with store.datasets.receive(id, f"{number}.wav") as incoming:
            for _ in range(mib):
                incoming.write(os.urandom(2**20))
            store.datasets.add_audio(id, incoming, TrackAudio(180.0, 48_000, 2), "la", ("pop",), "own")
    return id


def measured(exchange: DatasetExchange, id: str, format: str) -> tuple[str, str, str]:
    """Stream an export into nothing; return a row with the most memory it took (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status_mib("VmRSS")
    num_bytes = sum(len(piece) for piece in exchange.export(id, format)[1])
    return format, f"{num_bytes / 2**20:,.0f}", f"{status_mib('VmHWM') - before:,.0f}"


def status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    main()
