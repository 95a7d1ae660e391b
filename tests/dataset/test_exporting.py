"""What leaves for other programs, piece by piece."""

import io
import tracemalloc

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartmula_studio.dataset import exporting
from heartmula_studio.dataset.exporting import OutgoingTrack, write_parquet, write_webdataset, write_zip
from heartmula_studio.errors import StorageError

NUM_TRACKS, TRACK_BYTES = 12, 5 * 2**20
WRITERS = (write_zip, write_webdataset, write_parquet)


class Counter(io.RawIOBase):
    """Keeps nothing of what is written to it."""

    written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece) -> int:
        self.written += len(piece)
        return len(piece)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory) -> list[OutgoingTrack]:
    """60 MiB in files that need not be music: nothing is decoded."""
    folder = tmp_path_factory.mktemp("tracks")
    found = []
    for number in range(NUM_TRACKS):
        path = folder / f"{number}.wav"
        path.write_bytes(bytes([number]) * TRACK_BYTES)
        found.append(OutgoingTrack(path.name, path, "la\nlö", ("a, b",), "own", "ends", ("pop",)))
    return found


@pytest.mark.parametrize("write", WRITERS)
def test_memory_holds_one_track_and_not_all(write, tracks):
    """ "Exports hold all audio in memory" (Python's and Arrow's): 60 MiB go out with a few of them held."""
    sink, arrow_peak = Counter(), 0
    tracemalloc.start()
    for _ in write(tracks, sink):
        arrow_peak = max(arrow_peak, pa.total_allocated_bytes())
    python_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert NUM_TRACKS * TRACK_BYTES < sink.written < NUM_TRACKS * TRACK_BYTES * 1.01
    assert python_peak + arrow_peak < 4 * TRACK_BYTES


def test_parquet_has_a_row_group_for_each_track_and_the_types_of_datasets(tracks):
    sink = io.BytesIO()
    list(write_parquet(tracks[:2], sink))
    file = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert file.num_row_groups == 2
    assert isinstance(datasets.Features.from_arrow_schema(file.schema_arrow)["audio"], datasets.Audio)
    row = file.read().to_pylist()[1]
    assert row.pop("audio") == {"bytes": tracks[1].path.read_bytes(), "path": "1.wav"}
    words = {"lyrics": "la\nlö", "tags": ["a, b"], "rights": "own", "ending": "ends", "dataset_styles": ["pop"]}
    assert row == words


def test_a_file_that_changes_meanwhile_is_noticed(tracks, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "COPY_BYTES", 10)
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(100_000))
    writing = write_webdataset([OutgoingTrack("a.wav", path, "", (), "own")], Counter())
    next(writing)
    path.write_bytes(bytes(50))
    with pytest.raises(StorageError, match="changed while it was read"):
        list(writing)
