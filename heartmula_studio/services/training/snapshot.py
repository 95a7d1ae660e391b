"""What a job learns from: a copy of the dataset as it is now, or a catalogue where it lies."""

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.library.catalogues import CatalogueFolder, Catalogues
from heartmula_studio.services.training.job_folder import JobTrack, SongList
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.store import Store

Source = Dataset | CatalogueFolder


def find_source(store: Store, catalogues: Catalogues, dataset_id: str, catalogue: str) -> Source:
    """Return the one that is named. Raises NotFoundError, InvalidInputError unless it is one of both."""
    if bool(dataset_id) == bool(catalogue):
        raise InvalidInputError("A training learns from a dataset or from a catalogue.", "Name one of them.")
    return catalogues.find(catalogue) if catalogue else store.datasets.get(dataset_id)


def snapshot(store: Store, source: Source, checkpoint_name: str | None) -> SongList:
    """List the dataset's songs. Raises InvalidInputError where there are too few of them, AudioMissingError."""
    if isinstance(source, CatalogueFolder):
        return SongList((), (), checkpoint_name, catalogue=str(source.path))
    require_enough(source)
    songs = tuple(song_source(store, source, file) for file in source.audio_files)
    return SongList(source.styles, songs, checkpoint_name)


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
