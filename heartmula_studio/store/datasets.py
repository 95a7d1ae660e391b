"""Datasets: the songs a style is learnt from, with lyrics, tags and rights."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import AudioMissingError, ConflictError, StudioError
from heartmula_studio.files.atomic import TEMPORARY_PREFIX, flush_to_disk
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.locks import Locks
from heartmula_studio.files.moving import move, remove
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.store import songs
from heartmula_studio.store.cleaning import (
    CleanedAudio,
    file_of,
    files_of,
    original_of,
    require_original,
    with_cleaned,
    with_original,
    without_original,
)
from heartmula_studio.store.collection import remove_if_old
from heartmula_studio.store.incoming import Incoming, receiving, remove_abandoned
from heartmula_studio.store.journaled import JournaledDatasets
from heartmula_studio.store.names import (
    checked_name,
    checked_tags,
    name_key,
    safe_filename,
    safe_stem,
    unique_filename,
)
from heartmula_studio.store.proposals import (
    Finding,
    checked_status,
    with_all_decided,
    with_decision,
    with_findings,
)
from heartmula_studio.store.records import AudioFile, Dataset, utc_now
from heartmula_studio.store.track_changes import TrackChange, with_track_changes

AUDIO = "audio"
CLEANED = "cleaned"
PROCESSED = "processed"
HEARD = "heard"
HASH_CHARS = 12  # of a recording's SHA-256, in the name of a cleaned one
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackAudio:
    """What an audio file says of itself. `suffix` is the one its content calls for; None keeps that of its name.

    `lyrics` are those inside the file.
    """

    duration_sec: float
    sample_rate: int
    channels: int
    suffix: str | None = None
    lyrics: str = ""


class Datasets(JournaledDatasets):
    """datasets/{id}/manifest.json, audio/<song>, cleaned/<song>, processed/<stem>.pt and heard/<stem>.flac."""

    def __init__(self, root: Path, locks: Locks, max_upload_bytes: int, max_files: int):
        super().__init__(root, locks)
        self._max_upload_bytes = max_upload_bytes
        self._max_files = max_files

    def create_dataset(self, name: str, styles: Sequence[str] = ()) -> Dataset:
        """Raises InvalidInputError for a name or styles over the limits, StorageError."""
        record = Dataset(self.new_id(), checked_name(name, self.noun), checked_tags(styles, "styles"), utc_now())
        return self.create(record, _make_folders)

    def adopt(self, folder: Path) -> Dataset:
        """List a dataset that was filled elsewhere on the same disk, by moving its folder. Raises StorageError."""
        with self._locks.hold(self._lock_name(folder.name)), disk_explained(folder):
            move(folder, self.root / folder.name)
            flush_to_disk(self.root)
        return self.get(folder.name)

    def rename(self, id: str, name: str | None = None, styles: Sequence[str] | None = None) -> Dataset:
        """Change the name, the styles or both. Raises as `create_dataset`, and NotFoundError."""
        new_name = None if name is None else checked_name(name, self.noun)
        new_styles = None if styles is None else checked_tags(styles, "styles")

        def change(dataset: Dataset) -> Dataset:
            return replace(
                dataset,
                name=dataset.name if new_name is None else new_name,
                styles=dataset.styles if new_styles is None else new_styles,
            )

        return self.update(id, change)

    def get_song(self, id: str, filename: str) -> AudioFile:
        """Raises NotFoundError for an unlisted one."""
        return songs.find_song(self.get(id), filename)

    def audio_path(self, id: str, filename: str) -> Path:
        """The file of a song. Raises NotFoundError for an unlisted one, AudioMissingError where it is gone."""
        return self.audio_of(id, self.get_song(id, filename))

    def audio_of(self, id: str, song: AudioFile) -> Path:
        """The file of a listed song. Raises AudioMissingError where it is gone."""
        return self._present(id, song, file_of(song))

    def original_audio(self, id: str, song: AudioFile) -> Path:
        """The file that a listed song was cleaned from, or would be. Raises AudioMissingError where it is gone."""
        original = original_of(song)
        return self._present(id, song, original.stored_as if original else file_of(song))

    def _present(self, id: str, song: AudioFile, stored_as: str) -> Path:
        path = self._recording(id, song, stored_as)
        if not path.is_file():
            raise AudioMissingError(f"{path} is gone.", "Remove the song from the dataset, or put the file back.")
        return path

    def _recording(self, id: str, song: AudioFile, stored_as: str) -> Path:
        folder = self.folder(id)
        return folder / CLEANED / stored_as if stored_as else folder / AUDIO / song.filename

    def tokens_path(self, id: str, filename: str) -> Path:
        """Where the tokens of a song lie, or will lie. Raises NotFoundError for an unlisted song."""
        return self.tokens_of(id, self.get_song(id, filename))

    def tokens_of(self, id: str, song: AudioFile) -> Path:
        """Where the tokens of a listed song lie, or will lie."""
        return self.folder(id) / PROCESSED / f"{songs.stem_of(song)}.pt"

    def heard_path(self, id: str, filename: str) -> Path:
        """Where a song as the model hears it lies, or will lie. Raises NotFoundError for an unlisted song."""
        return self.folder(id) / HEARD / f"{songs.stem_of(self.get_song(id, filename))}.flac"

    def keep_heard(self, id: str, filename: str, heard: Path) -> Path:
        """Move a finished file, of the same disk, to `heard_path`. Raises NotFoundError, StorageError."""
        with self.locked(id):
            path = self.heard_path(id, filename)
            with disk_explained(path):
                path.parent.mkdir(exist_ok=True)
                move(heard, path)
                flush_to_disk(path.parent)
        return path

    def receive(self, id: str, original_name: str, max_bytes: int | None = None) -> AbstractContextManager[Incoming]:
        """Take in a file of at most `max_bytes` (the limit of uploads unless given); it vanishes unless added.

        Raises NotFoundError, StorageError.
        """
        limit = self._max_upload_bytes if max_bytes is None else max_bytes
        return receiving(self.folder(id) / AUDIO, original_name, limit, self._locks)

    def add_audio(
        self,
        id: str,
        incoming: Incoming,
        info: TrackAudio,
        caption: str = "",
        tags: Sequence[str] = (),
        rights: str = "unknown",
    ) -> AudioFile:
        """Keep a received file as a song of the dataset, under a safe and unique name.

        Without a caption, a text that waits for this song becomes it, else the lyrics inside the file. Raises
        NotFoundError, InvalidInputError, UploadTooLargeError for one song too many, ConflictError for one that is there
        already, StorageError.
        """
        lyrics, song_tags = checked_lyrics(caption), checked_tags(tags, "tags")
        known_rights = songs.checked_rights(rights)
        with self.locked(id):
            dataset = self.get(id)
            songs.require_room(dataset, self._max_files)
            songs.require_new(dataset, incoming.sha256)
            name = safe_filename(incoming.original_name, info.suffix)
            name = unique_filename(name, map(songs.stem_of, dataset.audio_files))
            song = AudioFile(
                name, lyrics, song_tags, known_rights,
                info.duration_sec, info.sample_rate, info.channels, incoming.size_bytes, incoming.sha256, utc_now(),
            )  # fmt: skip
            self._keep(id, incoming, song, info.lyrics)
            return self.get_song(id, name)

    def keep_cleaned(self, id: str, before: AudioFile, incoming: Incoming, audio: CleanedAudio) -> AudioFile:
        """Keep a received recording in the place of the one it was cleaned from, which stays beside it.

        Raises NotFoundError, ConflictError where the song is no longer what it was `before`, StorageError.
        """
        with self.locked(id):
            song = self.get_song(id, before.filename)
            if (song.sha256, song.cleaned) != (before.sha256, before.cleaned):
                raise ConflictError(f"{song.filename} was changed in the meantime.", "Nothing was changed. Try again.")
            name = f"{songs.stem_of(song)}-{incoming.sha256[:HASH_CHARS]}.flac"
            path = self.folder(id) / CLEANED / name
            facts = incoming.size_bytes, incoming.sha256
            try:
                with disk_explained(path):
                    path.parent.mkdir(exist_ok=True)
                    incoming.move_to(path)
                return self._change_recording(id, song, lambda song: with_cleaned(song, audio, name, *facts))
            finally:
                self._remove_unlisted(id)

    def restore_original(self, id: str, filename: str) -> AudioFile:
        """Take back how a song was cleaned. Raises NotFoundError, ConflictError where it was not, StorageError."""
        with self.locked(id):
            song = self.get_song(id, filename)
            self._present(id, song, require_original(song).stored_as)
            try:
                return self._change_recording(id, song, with_original)
            finally:
                self._remove_unlisted(id)

    def discard_original(self, id: str, filename: str) -> AudioFile:
        """Let go of what a song was cleaned from. Raises as `restore_original`."""
        with self.locked(id):
            try:
                return self._change_song(id, filename, without_original)
            finally:
                self._remove_unlisted(id)

    def _change_recording(self, id: str, song: AudioFile, change: Callable[[AudioFile], AudioFile]) -> AudioFile:
        """Change what a song sounds like; its tokens are of another sound then."""
        changed = self._change_song(id, song.filename, change)
        with disk_explained(self.folder(id)):
            remove(self.tokens_of(id, changed))
        return changed

    def add_text(self, id: str, filename: str, text: str) -> AudioFile | None:
        """Give lyrics to the song of the same stem, in any case and Unicode form; None if they wait for it.

        Raises NotFoundError, InvalidInputError, UploadTooLargeError for too many waiting texts, StorageError.
        """
        stem, text = safe_stem(filename), checked_lyrics(text)

        def add(dataset: Dataset) -> Dataset:
            song = songs.find_by_stem(dataset, stem)
            if song is None:
                return songs.with_waiting_text(dataset, stem, text, self._max_files)
            return songs.with_changed(dataset, song.filename, lambda song: replace(song, caption=text))

        return songs.find_by_stem(self.update(id, add), stem)

    def update_audio(
        self,
        id: str,
        filename: str,
        caption: str | None = None,
        tags: Sequence[str] | None = None,
        rights: str | None = None,
        ending: str | None = None,
    ) -> AudioFile:
        """Change what is given. Raises NotFoundError, InvalidInputError, StorageError."""
        (song,) = self.update_tracks(id, [TrackChange(filename, caption, tags, rights, ending)])
        return song

    def update_tracks(self, id: str, changes: Sequence[TrackChange]) -> tuple[AudioFile, ...]:
        """Change many songs, all or none, and return them. Raises as `with_track_changes`, and StorageError."""
        dataset = self.update(id, lambda dataset: with_track_changes(dataset, changes))
        places = songs.find_places(dataset, [change.filename for change in changes])
        return tuple(dataset.audio_files[place] for place in places)

    def propose(self, id: str, filename: str, source: str, findings: Sequence[Finding]) -> AudioFile:
        """Keep what a program found for a song, as `with_findings`. Raises NotFoundError, StorageError."""
        return self._change_song(id, filename, lambda song: with_findings(song, source, findings))

    def decide(self, id: str, filename: str, number: int, status: str) -> AudioFile:
        """Accept or reject a proposal, or undo that, as `with_decision`, and raise as it does; StorageError."""
        known = checked_status(status)

        def change(dataset: Dataset) -> Dataset:
            return songs.with_changed(
                dataset, filename, lambda song: with_decision(song, number, known, dataset.styles)
            )

        return songs.find_song(self.update(id, change), filename)

    def decide_all(self, id: str, status: str) -> Dataset:
        """Accept or reject all open proposals, or undo all decisions. Raises as `decide`; nothing changes then."""
        known = checked_status(status)

        def change(dataset: Dataset) -> Dataset:
            decided = tuple(with_all_decided(song, known, dataset.styles) for song in dataset.audio_files)
            return replace(dataset, audio_files=decided)

        return self.update(id, change)

    def set_tokens(self, id: str, filename: str, frames: int | None, error: str | None = None) -> AudioFile:
        """Note how many frames a song's tokens have, or why there are none. Raises NotFoundError, StorageError."""
        return self._change_song(id, filename, lambda song: replace(song, frames=frames, error=error))

    def remove_audio(self, id: str, filename: str) -> None:
        """Remove a song with what was made of it. Raises NotFoundError, StorageError."""
        with self.locked(id):
            song = self.get_song(id, filename)
            made_of_it = (self.tokens_of(id, song), self.heard_path(id, filename))
            recordings = [self._recording(id, song, name) for name in files_of(song)]
            self.update(id, lambda dataset: songs.without(dataset, filename))
            with disk_explained(self.folder(id)):
                for path in (*recordings, *made_of_it):
                    remove(path)

    def set_processing(self, id: str, is_processing: bool) -> Dataset:
        """Begin or end the status `processing`. Raises NotFoundError, StorageError."""
        return self.update(id, lambda dataset: songs.with_processing(dataset, is_processing))

    def recover(self) -> None:
        super().recover()
        for dataset in self.list():
            try:
                remove_abandoned(self.root / dataset.id / AUDIO, self._locks)
                self._remove_unlisted(dataset.id)
                for path in (self.root / dataset.id / PROCESSED).glob(f"{TEMPORARY_PREFIX}*"):
                    remove_if_old(path)
            except StudioError as error:  # the others are no worse for it
                _log.warning("The dataset %s cannot be tidied up: %s", dataset.id, error)

    def _keep(self, id: str, incoming: Incoming, song: AudioFile, own_lyrics: str) -> None:
        """Move the file in, then list it; a file that cannot be listed does not stay."""
        path = self.folder(id) / AUDIO / song.filename
        try:
            with disk_explained(path):
                incoming.move_to(path)
            self.update(id, lambda dataset: songs.with_song(dataset, song, own_lyrics))
        except BaseException:
            self._remove_unlisted(id)
            raise

    def _remove_unlisted(self, id: str) -> None:
        """Remove the files of songs that a killed process was adding or removing."""
        if not self._unlisted(id):
            return
        with self.locked(id), disk_explained(self.root / id):
            for path in self._unlisted(id):
                remove(path)

    def _unlisted(self, id: str) -> list[Path]:
        """Files of no song, and records that were being written; without the record's lock they may be a moment's."""
        dataset, folder = self.get(id), self.folder(id)
        # Compared by key: some file systems give names back in another Unicode form.
        listed = {
            AUDIO: {name_key(song.filename) for song in dataset.audio_files if "" in files_of(song)},
            CLEANED: {name_key(name) for song in dataset.audio_files for name in files_of(song)},
            PROCESSED: {name_key(f"{songs.stem_of(song)}.pt") for song in dataset.audio_files},
            HEARD: {name_key(f"{songs.stem_of(song)}.flac") for song in dataset.audio_files},
        }
        with disk_explained(folder):
            found = [folder / name for name in os.listdir(folder) if name.startswith(TEMPORARY_PREFIX)]
            found += self._old_journals(dataset)
            for part, keys in listed.items():
                found += [path for path in (folder / part).glob("[!.]*") if name_key(path.name) not in keys]
        return found

    def _change_song(self, id: str, filename: str, change: Callable[[AudioFile], AudioFile]) -> AudioFile:
        dataset = self.update(id, lambda dataset: songs.with_changed(dataset, filename, change))
        return songs.find_song(dataset, filename)


def _make_folders(folder: Path) -> None:
    (folder / AUDIO).mkdir()
    (folder / PROCESSED).mkdir()
