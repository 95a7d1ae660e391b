"""A dataset of so many tracks that no answer holds them all. They are listed only, without recordings."""

from heartmula_studio.store.records import AudioFile, Dataset, utc_now
from heartmula_studio.store.store import Store

NUM_TRACKS = 501


def add_large_dataset(store: Store, name: str) -> Dataset:
    """Add one whose tracks are "track 0.mp3" to "track 500.mp3", every hundredth without lyrics."""
    tracks = tuple(
        AudioFile(
            f"track {n}.mp3", f"words {n}" if n % 100 else "", ("pop",), "own", 1.0, 44100, 2, 1, f"{n:064}", utc_now()
        )
        for n in range(NUM_TRACKS)
    )
    record = Dataset(store.datasets.new_id(), name, ("techno",), utc_now(), "ready", audio_files=tracks)
    return store.datasets.create(record, lambda folder: [(folder / part).mkdir() for part in ("audio", "processed")])
