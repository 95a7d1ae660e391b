"""Datasets and their songs for `gradio_client`."""

from dataclasses import replace
from typing import Literal

import gradio as gr

from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.store.records import ProposalStatus
from heartmula_studio.store.task_views import AnalysisKind, CheckKind
from heartmula_studio.store.track_changes import TrackChange
from heartmula_studio.studio import Studio
from heartmula_studio.ui.endpoint_calls import call, in_thread
from heartmula_studio.ui.files import served_file, served_stream, uploaded_file
from heartmula_studio.ui.page_context import user_errors


class DatasetEndpoints:
    """One method an endpoint; its signature and docstring are what a client sees."""

    def __init__(self, studio: Studio):
        self._datasets, self._imports, self._checks = studio.datasets, studio.imports, studio.checks

    async def list_datasets(self) -> list[dict]:
        """All datasets with their songs, oldest first."""
        return await call(self._datasets.list)

    async def create_dataset(self, name: str, styles: list[str] | None = None) -> dict:
        """Make an empty dataset."""
        return await call(self._datasets.create, name, styles or [])

    async def create_example_dataset(self) -> dict:
        """Make a dataset of the six clips that come along, to try everything with."""
        return await call(self._datasets.create_examples)

    async def get_dataset(self, dataset_id: str) -> dict:
        """One dataset with its songs."""
        return await call(self._datasets.get, dataset_id)

    async def update_dataset(self, dataset_id: str, name: str | None = None, styles: list[str] | None = None) -> dict:
        """Rename or restyle a dataset."""
        return await call(self._datasets.update, dataset_id, name, styles)

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset with its files; refused while a job uses it."""
        await call(self._datasets.delete, dataset_id)

    async def import_dataset(
        self, file: gr.FileData, name: str = "", styles: list[str] | None = None, split: str = ""
    ) -> dict:
        """Make a dataset of a .zip or .tar of songs, or a .parquet; `skipped` says what could not be used."""
        with user_errors(str):
            path, filename = uploaded_file(file)
        return await call(self._imports.run, path, filename, name, styles or [], split)

    async def start_import(
        self, file: gr.FileData, name: str = "", styles: list[str] | None = None, split: str = ""
    ) -> dict:
        """Do what `import_dataset` does in the background; `get_import` says how far it is, by the id of this."""
        with user_errors(str):
            path, filename = uploaded_file(file)
        return await call(self._imports.start, path, filename, name, styles or [], split)

    async def list_imports(self) -> list[dict]:
        """The imports that go on, and the last that have ended since the server's start."""
        return await call(self._imports.list)

    async def get_import(self, import_id: str) -> dict:
        """How far an import is, and in the end what it has become and what was left out."""
        return await call(self._imports.get, import_id)

    async def cancel_import(self, import_id: str) -> dict:
        """Stop an import within moments; nothing of it is left."""
        return await call(self._imports.cancel, import_id)

    async def export_dataset(
        self, dataset_id: str, format: Literal["folder", "parquet", "webdataset"] = "folder"
    ) -> gr.FileData:
        """Songs, lyrics, tags and rights as one file, which `import_dataset` takes in; a folder comes as a zip."""
        filename, pieces = await in_thread(self._datasets.export, dataset_id, format)
        return await in_thread(served_stream, filename, pieces)

    async def upload_audio(
        self,
        dataset_id: str,
        file: gr.FileData,
        caption: str = "",
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] = "unknown",
    ) -> dict | None:
        """Add a song, or a .txt with the lyrics of one; None where the lyrics wait for their song."""
        with user_errors(str):
            path, name = uploaded_file(file)
        return await call(self._datasets.add_file, dataset_id, path, name, caption, tags or [], rights)

    async def update_audio(
        self,
        dataset_id: str,
        filename: str,
        caption: str | None = None,
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] | None = None,
        ending: Literal["as_heard", "ends", "cut_off"] | None = None,
    ) -> dict:
        """Edit a song's lyrics, tags and rights, and say whether the recording comes to an end."""
        return await call(self._datasets.update_audio, dataset_id, filename, caption, tags, rights, ending)

    async def update_tracks(
        self,
        dataset_id: str,
        filenames: list[str],
        add_tags: list[str] | None = None,
        remove_tags: list[str] | None = None,
        trigger_word: str = "",
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] | None = None,
        ending: Literal["as_heard", "ends", "cut_off"] | None = None,
        caption: str | None = None,
    ) -> list[dict]:
        """Edit many songs in one way, all or none. The trigger word is a tag that is put before all others."""
        change = TrackChange("", caption, tags, rights, ending, add_tags or (), remove_tags or (), trigger_word)
        changes = [replace(change, filename=filename) for filename in filenames]
        return await call(self._datasets.update_tracks, dataset_id, changes)

    async def clean_tracks(
        self,
        dataset_id: str,
        filenames: list[str] | None = None,
        trim_silence: bool = True,
        loudness_lufs: float | None = None,
    ) -> list[dict]:
        """Trim silence and set the loudness of songs, all where none is named. Their originals stay."""
        settings = CleanSettings(trim_silence, loudness_lufs)
        return await call(lambda: [*self._datasets.clean_tracks(dataset_id, filenames or (), settings)])

    async def start_cleaning(
        self,
        dataset_id: str,
        filenames: list[str] | None = None,
        trim_silence: bool = True,
        loudness_lufs: float | None = None,
    ) -> dict:
        """Do what `clean_tracks` does in the background; `get_cleaning` says how far it is."""
        settings = CleanSettings(trim_silence, loudness_lufs)
        return await call(self._datasets.start_cleaning, dataset_id, filenames or (), settings)

    async def get_cleaning(self, dataset_id: str) -> dict:
        """How far the cleaning of many songs is, and how those that are done are cleaned now."""
        return await call(self._datasets.get_cleaning, dataset_id)

    async def cancel_cleaning(self, dataset_id: str) -> dict:
        """Stop cleaning within moments; the songs that are done stay cleaned, and can be taken back."""
        return await call(self._datasets.cancel_cleaning, dataset_id)

    async def restore_tracks(self, dataset_id: str, filenames: list[str] | None = None) -> list[dict]:
        """Take back how songs were cleaned, all where none is named."""
        return await call(lambda: [*self._datasets.restore_tracks(dataset_id, filenames or ())])

    async def discard_originals(self, dataset_id: str, filenames: list[str] | None = None) -> list[dict]:
        """Remove what songs were cleaned from, for good; of all where none is named."""
        return await call(lambda: [*self._datasets.discard_originals(dataset_id, filenames or ())])

    async def remove_audio(self, dataset_id: str, filename: str) -> None:
        """Remove a song and its tokens."""
        await call(self._datasets.remove_audio, dataset_id, filename)

    async def hear(self, dataset_id: str, filename: str) -> tuple[gr.FileData, float]:
        """The first minute of a song as the model hears it, and its log-mel distance (0 is perfect)."""
        heard = await in_thread(self._datasets.preview_round_trip, dataset_id, filename)
        return await in_thread(served_file, heard.path), heard.log_mel

    async def validate_dataset(self, dataset_id: str) -> dict:
        """Check whether the dataset can be trained on, and what is missing."""
        return await call(self._datasets.validate, dataset_id)

    async def preprocess(self, dataset_id: str) -> dict:
        """Turn the songs into tokens now; training does it by itself where it was not done."""
        return await call(self._datasets.preprocess, dataset_id)

    async def track_losses(self, dataset_id: str) -> dict:
        """The base model's own loss on each track, the highest first: where lyrics or tags are wrong, it is high."""
        return await call(self._checks.track_losses, dataset_id)

    async def check_sound(self, dataset_id: str) -> dict:
        """Loudness, silence at both ends, clipping, phase, DC offset and duplicates in any format, track by track."""
        return await call(self._checks.check_sound, dataset_id)

    async def start_check(self, dataset_id: str, kind: CheckKind = "sound") -> dict:
        """Do what `check_sound` or, for "lyrics", `track_losses` does in the background; nothing changes."""
        return await call(self._checks.start, dataset_id, kind)

    async def get_check(self, dataset_id: str, kind: CheckKind = "sound") -> dict:
        """How far a check is, and in `report` what was found so far."""
        return await call(self._checks.get, dataset_id, kind)

    async def cancel_check(self, dataset_id: str, kind: CheckKind = "sound") -> dict:
        """Stop a check within moments; what it has found stays."""
        return await call(self._checks.cancel, dataset_id, kind)

    async def preview_prompt(self, dataset_id: str, filename: str) -> dict:
        """The tags and lyrics that a training would read of a song, window by window, and the lines left out."""
        return await call(self._datasets.preview_prompt, dataset_id, filename)

    async def find_tempo_and_key(self, dataset_id: str) -> dict:
        """Propose tempo and key of each song as tags; none changes before its proposal is accepted."""
        return await call(self._datasets.find_tempo_and_key, dataset_id)

    async def start_analysis(
        self,
        dataset_id: str,
        kind: AnalysisKind = "tempo_and_key",
        model: str = "",
        language: str = "",
        separate_vocals: bool | None = None,
        separator: str = "",
    ) -> dict:
        """Have a program listen to all songs in the background, and propose what it finds; nothing else changes."""
        settings = model, language, separate_vocals, separator
        return await call(self._datasets.start_analysis, dataset_id, kind, *settings)

    async def get_analysis(self, dataset_id: str, kind: AnalysisKind = "tempo_and_key") -> dict:
        """How far an analysis is, and which songs it could not listen to; what it proposes is with the songs."""
        return await call(self._datasets.get_analysis, dataset_id, kind)

    async def cancel_analysis(self, dataset_id: str, kind: AnalysisKind = "tempo_and_key") -> dict:
        """Stop an analysis within moments; what it has proposed stays."""
        return await call(self._datasets.cancel_analysis, dataset_id, kind)

    async def decide_proposal(
        self, dataset_id: str, filename: str, number: int, status: ProposalStatus = "accepted"
    ) -> dict:
        """Accept or reject what was proposed for a song; "open" undoes that."""
        return await call(self._datasets.decide_proposal, dataset_id, filename, number, status)

    async def decide_proposals(self, dataset_id: str, status: ProposalStatus = "accepted") -> dict:
        """Accept or reject all open proposals of a dataset; "open" undoes all that was decided."""
        return await call(self._datasets.decide_proposals, dataset_id, status)
