"""Datasets: their tracks, tokens, and whole datasets going out and coming in."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.services.derived import Derived
from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.settings import Settings
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.songs import find_song, validation
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import Analysis, AnalysisKind, CleaningTask
from heartmula_studio.store.track_changes import TrackChange
from heartmula_studio.store.track_pages import TrackFilter, TrackPage, found_tracks, page_of
from heartmula_studio.store.views import (
    PromptPreview,
    ProposalReport,
    RoundTripFile,
    TrackCleaning,
    TrackProposals,
    Validation,
)

if TYPE_CHECKING:  # they bring torch
    import datasets

    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.library.analyses import Analyses
    from heartmula_studio.services.library.cleaning import TrackCleaner
    from heartmula_studio.services.library.dataset_exchange import DatasetExchange
    from heartmula_studio.services.library.dataset_tokenizer import DatasetTokenizer
    from heartmula_studio.services.library.round_trip_preview import RoundTripPreview
    from heartmula_studio.services.library.uploads import UploadService


class DatasetService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, store: Store, settings: Settings, devices: Devices, runtime: "Lazy[Runtime]", jobs: JobQueue):
        self._store, self._datasets, self._settings = store, store.datasets, settings
        self._devices, self._runtime, self._jobs = devices, runtime, jobs
        self._closing = threading.Event()
        self._found = Derived(found_tracks)
        self._uploads = Lazy(self._make_uploads)
        self._exchange = Lazy(self._make_exchange)
        self._tokenizer = Lazy(self._make_tokenizer)
        self._round_trips = Lazy(self._make_round_trips, of=runtime)
        self._analyses = Lazy(self._make_analyses)
        self._cleaner = Lazy(self._make_cleaner)

    def recover(self) -> None:
        """Give datasets that nobody is tokenizing any more their true status."""
        if any(dataset.status == "processing" for dataset in self._datasets.records()):
            self._tokenizer.get().recover()

    def close(self) -> None:
        """Stop within moments what tokenizes, listens or cleans, and leave all edits in the manifests."""
        self._closing.set()
        if analyses := self._analyses.made:
            analyses.close()
        if cleaner := self._cleaner.made:
            cleaner.close()
        if tokenizer := self._tokenizer.made:
            tokenizer.close()
        self._datasets.fold()

    # --- datasets --------------------------------------------------------------------------------------------------

    def create(self, name: str, styles: Sequence[str] = ()) -> Dataset:
        return self._datasets.create_dataset(name, styles)

    def create_examples(self) -> Dataset:
        """Make a dataset of the six clips that come along, to try everything with."""
        return self._exchange.get().create_example_dataset()

    def get(self, id: str) -> Dataset:
        return self._datasets.get(id)

    def update(self, id: str, name: str | None = None, styles: Sequence[str] | None = None) -> Dataset:
        return self._datasets.rename(id, name, styles)

    def delete(self, id: str) -> None:
        """Delete it with its files. Raises ConflictError while a job needs it."""
        with self._store.lock(QUEUE_LOCK):
            dataset = self._datasets.get(id)
            self._jobs.require_free(dataset, f"The dataset {dataset.name!r}")
            self._datasets.delete(id)

    def validate(self, id: str) -> Validation:
        return validation(self._datasets.get(id))

    def tracks(self, id: str, wanted: TrackFilter, limit: int, cursor: str = "") -> TrackPage:
        """Return a page of the tracks that are looked for. Raises NotFoundError, InvalidInputError."""
        return page_of(self._found.of(self._datasets.get(id), wanted), limit, cursor)

    # --- tracks ----------------------------------------------------------------------------------------------------

    def receive(self, id: str, filename: str) -> AbstractContextManager[Incoming]:
        """Take in a file piece by piece; give it to `add_upload` inside the block, or it vanishes."""
        return self._datasets.receive(id, filename)

    def add_upload(
        self, id: str, incoming: Incoming, caption: str = "", tags: Sequence[str] = (), rights: str = "unknown"
    ) -> AudioFile | None:
        """Add a received song, or lyrics for one; None where the lyrics wait for their song.

        Raises AudioError for what cannot be learnt from, InvalidInputError, ConflictError for a song twice.
        """
        return self._uploads.get().add_upload(id, incoming, caption, tags, rights)

    def add_file(
        self,
        id: str,
        path: str | Path,
        filename: str | None = None,
        caption: str = "",
        tags: Sequence[str] = (),
        rights: str = "unknown",
    ) -> AudioFile | None:
        """Add a copy of a local file, as `add_upload`."""
        return self._uploads.get().add_file(id, Path(path), filename, caption, tags, rights)

    def audio_path(self, id: str, filename: str) -> Path:
        return self._datasets.audio_path(id, filename)

    def update_audio(
        self,
        id: str,
        filename: str,
        caption: str | None = None,
        tags: Sequence[str] | None = None,
        rights: str | None = None,
        ending: str | None = None,
    ) -> AudioFile:
        """Change what is given of a song. Raises NotFoundError, InvalidInputError, StorageError."""
        return self._datasets.update_audio(id, filename, caption, tags, rights, ending)

    def update_tracks(self, id: str, changes: Sequence[TrackChange]) -> tuple[AudioFile, ...]:
        """Change many songs, all or none, and return them. Raises as `update_audio`."""
        return self._datasets.update_tracks(id, changes)

    def remove_audio(self, id: str, filename: str) -> None:
        """Remove a song. Raises ConflictError while a job needs it."""
        with self._store.lock(QUEUE_LOCK):
            self._jobs.require_free(self._datasets.get(id), filename)
            self._datasets.remove_audio(id, filename)

    # --- cleaning --------------------------------------------------------------------------------------------------

    def clean_track(self, id: str, filename: str, settings: CleanSettings) -> AudioFile:
        """Trim and level a recording; its original stays. Raises ConflictError while a job needs it, AudioError."""
        return self._cleaner.get().clean(id, filename, settings)

    def restore_track(self, id: str, filename: str) -> AudioFile:
        """Take back how a recording was cleaned. Raises ConflictError where it was not, or while a job needs it."""
        return self._cleaner.get().restore(id, filename)

    def discard_original(self, id: str, filename: str) -> AudioFile:
        """Remove what a recording was cleaned from, for good. Raises ConflictError where there is none."""
        return self._cleaner.get().discard(id, filename)

    def clean_tracks(self, id: str, filenames: Sequence[str], settings: CleanSettings) -> Iterator[TrackCleaning]:
        """Yield recordings as `clean_track` has cleaned them, one by one; all where none is named."""
        yield from self._cleaner.get().clean_all(id, filenames, settings)

    def start_cleaning(self, id: str, filenames: Sequence[str], settings: CleanSettings) -> CleaningTask:
        """Do what `clean_tracks` does in the background. Raises NotFoundError, ConflictError while that goes on."""
        return self._cleaner.get().start(id, filenames, settings)

    def get_cleaning(self, id: str) -> CleaningTask:
        return self._cleaner.get().get(id)

    def cancel_cleaning(self, id: str) -> CleaningTask:
        """Stop it within moments; what is cleaned stays. Raises NotFoundError, ConflictError where none goes on."""
        return self._cleaner.get().cancel(id)

    def restore_tracks(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Yield recordings as `restore_track` leaves them; all where none is named."""
        yield from self._cleaner.get().restore_all(id, filenames)

    def discard_originals(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Yield recordings whose originals are removed; all where none is named."""
        yield from self._cleaner.get().discard_all(id, filenames)

    # --- tokens ----------------------------------------------------------------------------------------------------

    def preprocess(self, id: str) -> Dataset:
        """Tokenize in the background what is not tokenized yet."""
        return self._tokenizer.get().start(id)

    def preview_round_trip(self, id: str, filename: str) -> RoundTripFile:
        """Turn a song into tokens and back, at most its first minute; done once for each codec.

        Raises NotFoundError, AudioError, and ConflictError while the device has no room for it.
        """
        return self._round_trips.get().preview_round_trip(id, filename)

    def preview_prompt(self, id: str, filename: str) -> PromptPreview:
        """Show the tags and lyrics that a training would read of a track, window by window. Raises NotFoundError."""
        from heartmula_studio.services.library.prompt_preview import preview_prompt  # it brings torch

        dataset = self._datasets.get(id)
        return preview_prompt(dataset, find_song(dataset, filename), self._settings.max_window_sec)

    # --- what programs propose -------------------------------------------------------------------------------------

    def find_tempo_and_key(self, id: str) -> ProposalReport:
        """Propose tempo and key of each track as tags, where they can be told. No tag changes before it is accepted."""
        return ProposalReport(tuple(self.propose_tempo_and_key(id)))

    def propose_tempo_and_key(self, id: str) -> Iterator[TrackProposals]:
        """Yield the tracks of `find_tempo_and_key` one by one; what was proposed for those before is kept."""
        yield from self.analyze(id, "tempo_and_key")

    def analyze(
        self,
        id: str,
        kind: AnalysisKind,
        model: str = "",
        language: str = "",
        separate_vocals: bool | None = None,
        separator: str = "",
        is_local: bool = False,
    ) -> Iterator[TrackProposals]:
        """Yield the tracks as a program listens to them, in this thread; what was proposed for those before is kept.

        is_local: models may be any folders of this machine, which only the machine's owner may say.
        Raises as `start_analysis`, CheckpointError, OutOfMemoryError, and CancelledError.
        """
        from heartmula_studio.services.library.analyses import AnalysisSettings

        settings = AnalysisSettings(model, language, separate_vocals, separator, is_local)
        yield from self._analyses.get().run(id, kind, settings)

    def start_analysis(
        self,
        id: str,
        kind: str,
        model: str = "",
        language: str = "",
        separate_vocals: bool | None = None,
        separator: str = "",
    ) -> Analysis:
        """Have a program listen to the tracks in the background, and propose what it finds. Nothing else changes.

        separate_vocals: have the voice separated first; None where that is possible.
        Raises NotFoundError, also for a model that is not there; InvalidInputError; ConflictError while it goes on.
        """
        from heartmula_studio.services.library.analyses import AnalysisSettings

        settings = AnalysisSettings(model, language, separate_vocals, separator)
        return self._analyses.get().start(id, kind, settings)

    def get_analysis(self, id: str, kind: str) -> Analysis:
        return self._analyses.get().get(id, kind)

    def cancel_analysis(self, id: str, kind: str) -> Analysis:
        """Stop it within moments; what was proposed stays. Raises NotFoundError, ConflictError where none goes on."""
        return self._analyses.get().cancel(id, kind)

    def decide_proposal(self, id: str, filename: str, number: int, status: str) -> AudioFile:
        """Accept a proposal, reject it, or make it open again, which takes back what accepting it did.

        Raises NotFoundError, InvalidInputError, StorageError, and ConflictError for lyrics in the place of others.
        """
        return self._datasets.decide(id, filename, number, status)

    def decide_proposals(self, id: str, status: str) -> Dataset:
        """Accept or reject all open proposals of a dataset; or make all that were decided open again."""
        return self._datasets.decide_all(id, status)

    # --- out and in ------------------------------------------------------------------------------------------------

    def as_hf_dataset(self, id: str) -> "datasets.Dataset":
        """The songs as training reads them: `song`, `audio`, `lyrics`, `tags`, `codes` and `codec`, one row each.

        Raises ConflictError while songs are not tokenized.
        """
        return self._exchange.get().as_hf_dataset(id)

    def export(self, id: str, format: str = "folder") -> tuple[str, Iterator[bytes]]:
        """A file name, and the dataset as one file piece by piece. Raises as `DatasetExchange.export`."""
        return self._exchange.get().export(id, format)

    def export_to_file(self, id: str, format: str, path: str | Path) -> None:
        """Write the file that `export` yields, whole or not at all."""
        self._exchange.get().export_to_file(id, format, Path(path))

    def export_to_folder(self, id: str, folder: str | Path) -> None:
        """Write the audio files and a metadata.jsonl, as `datasets` reads an audiofolder."""
        self._exchange.get().export_to_folder(id, Path(folder))

    def export_to_hub(self, id: str, repo_id: str, private: bool = True) -> None:
        self._exchange.get().export_to_hub(id, repo_id, private)

    # --- parts that need torch -------------------------------------------------------------------------------------

    def _make_uploads(self) -> "UploadService":
        from heartmula_studio.codec.audio_file import AudioLimits
        from heartmula_studio.services.library.uploads import UploadService

        return UploadService(self._datasets, AudioLimits(max_sec=self._settings.max_song_sec))

    def exchange(self) -> "DatasetExchange":
        """What takes whole datasets in and out. Its making loads torch."""
        return self._exchange.get()

    def _make_exchange(self) -> "DatasetExchange":
        from heartmula_studio.services.library.dataset_exchange import DatasetExchange

        return DatasetExchange(self._store, self._settings)

    def _make_tokenizer(self) -> "DatasetTokenizer":
        from heartmula_studio.services.library.dataset_tokenizer import DatasetTokenizer

        return DatasetTokenizer(self._store, lambda: self._runtime.get().load_codec(), self._runtime.get().limits)

    def _make_round_trips(self) -> "RoundTripPreview":
        from heartmula_studio.services.library.round_trip_preview import RoundTripPreview

        return RoundTripPreview(self._store, self._devices, self._runtime.get(), self._closing)

    def _make_analyses(self) -> "Analyses":
        from heartmula_studio.services.library.analyses import Analyses
        from heartmula_studio.services.library.analyzers import analyzer_makers

        makers = analyzer_makers(self._settings.official_dir, self._runtime, self._store.styles.builtin)
        return Analyses(self._store, makers, self._closing)

    def _make_cleaner(self) -> "TrackCleaner":
        from heartmula_studio.services.library.cleaning import TrackCleaner

        return TrackCleaner(self._store, self._jobs, self._closing)

    def records(self) -> tuple[Dataset, ...]:
        """All datasets, oldest first; the same tuple for as long as nothing changes. Raises StorageError."""
        return self._datasets.records()

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Dataset]:
        """All datasets with their songs, oldest first."""
        return self._datasets.list()
