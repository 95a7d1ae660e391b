"""A copy of the dataset as it is now, which a job learns from."""

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.training.job_folder import JobTrack, SongList
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.store import Store


def snapshot(store: Store, dataset: Dataset, checkpoint_name: str | None) -> SongList:
    """List the dataset's songs. Raises InvalidInputError where there are too few of them, AudioMissingError."""
    require_enough(dataset)
    songs = tuple(song_source(store, dataset, file) for file in dataset.audio_files)
    return SongList(dataset.styles, songs, checkpoint_name)


def require_enough(dataset: Dataset) -> None:
    """Raise InvalidInputError where a dataset has too few songs to learn from."""
    if len(dataset.audio_files) < dataset.minimum_files:
        missing = dataset.minimum_files - len(dataset.audio_files)
        raise InvalidInputError(
            f"{dataset.name} has {len(dataset.audio_files)} of {dataset.minimum_files} files.",
            f"Add {missing} more {'song' if missing == 1 else 'songs'}.",
        )


def song_source(store: Store, dataset: Dataset, file: AudioFile) -> JobTrack:
    return JobTrack(
        filename=file.filename,
        audio=str(store.datasets.audio_of(dataset.id, file).resolve()),
        tokens=str(store.datasets.tokens_of(dataset.id, file).resolve()),
        sha256=file.sha256,
        lyrics=file.caption,
        tags=file.tags or dataset.styles,
        rights=file.rights,
        duration_sec=file.duration_sec,
        ending=file.ending,
    )
