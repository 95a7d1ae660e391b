"""Datasets as records: a small one is written whole at each edit, of a large one the edits go into a journal."""

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from heartmula_studio.errors import StorageError, StudioError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.locks import Locks
from heartmula_studio.files.memory_only import leave_memory
from heartmula_studio.files.moving import remove
from heartmula_studio.store.collection import Collection
from heartmula_studio.store.journal import JOURNALED_TRACKS, PATTERN, ROOM_BYTES, ROOM_SHARE, Edit, Journal, edited
from heartmula_studio.store.records import Dataset

_log = logging.getLogger(__name__)


class JournaledDatasets(Collection[Dataset]):
    """What `Collection` is, with edits that take as long as what they change."""

    kind = "datasets"
    noun = "dataset"
    record_type = Dataset
    is_read_as_written = True  # of a dataset of hundreds of tracks, reading takes longer than all else of an edit

    def __init__(self, root: Path, locks: Locks):
        super().__init__(root, locks)
        self._edited: dict[str, tuple[Dataset, int, Dataset]] = {}  # manifest, what is read of its journal, result

    def fold(self) -> None:
        """Write all edits into their manifests, which earlier releases can read."""
        for dataset in self.list():
            try:
                with self.locked(dataset.id):
                    record = self.get(dataset.id)
                    if record.journal and self._journal(record).path.stat().st_size:
                        self._write_whole(record, record)
            except (StudioError, OSError) as error:  # they are read from the journal as well
                _log.warning("The edits of %s stay in its journal: %s", dataset.id, error)

    def _read(self, id: str) -> Dataset:
        record = super()._read(id)
        while record.journal:
            try:
                return self._with_journal(record)
            except FileNotFoundError as error:
                before, record = record, super()._read(id)
                if record.journal == before.journal:
                    path = self._journal(record).path
                    raise StorageError(
                        f"{path} is gone.",
                        "Restore it from a copy. An empty file of that name takes its place, without its edits.",
                    ) from error
        return record

    def _with_journal(self, record: Dataset) -> Dataset:
        """Return what has become of a manifest. Raises FileNotFoundError where its journal is gone."""
        journal = self._journal(record)
        size = os.stat(journal.path).st_size
        base, offset, dataset = self._known(record)
        if offset != size:
            leave_memory()
            edits, offset = journal.read(offset)
            dataset = edited(dataset, edits) if edits else dataset
            self._edited[record.id] = base, offset, dataset
        return dataset

    def _known(self, record: Dataset) -> tuple[Dataset, int, Dataset]:
        known = self._edited.get(record.id)
        is_known = known is not None and (known[0] is record or known[0] == record)
        return known if known and is_known else (record, 0, record)

    def _replace(self, record: Dataset, changed: Dataset) -> Dataset:
        edit = Edit.between(record, changed) if record.journal else None
        if edit and self._append(record, changed, edit.to_json(indent=None)):
            return changed
        return self._write_whole(record, changed)

    def _append(self, record: Dataset, changed: Dataset, line: bytes) -> bool:
        """Write a line into the journal, unless that has become long."""
        manifest, journal, base = self.root / record.id / self.manifest, self._journal(record), super()._read(record.id)
        with disk_explained(manifest):
            room = max(ROOM_BYTES, manifest.stat().st_size // ROOM_SHARE)
            if journal.path.stat().st_size + len(line) > room:
                return False
            end = journal.append(line)
        self._edited[record.id] = base, end, changed
        return True

    def _write_whole(self, record: Dataset, changed: Dataset) -> Dataset:
        """Write the manifest, with a new journal where the dataset is large."""
        folder, journal = self.root / record.id, None
        with disk_explained(folder):
            if len(changed.audio_files) > JOURNALED_TRACKS:
                journal = Journal.create(folder)
        try:
            changed = super()._replace(record, replace(changed, journal=journal.path.name if journal else ""))
        except BaseException:
            if journal:
                remove(journal.path)
            raise
        self._edited.pop(record.id, None)
        if record.journal:
            with suppress(OSError):  # what stays of it is removed by `recover`
                remove(self._journal(record).path)
        return changed

    def _journal(self, record: Dataset) -> Journal:
        return Journal(self.root / record.id / record.journal)

    def _old_journals(self, record: Dataset) -> list[Path]:
        """Journals that killed processes were about to begin, or had done with.

        Where an earlier release has written the manifest since, it names none: edits that it did not know stay.
        """
        found = [path for path in (self.root / record.id).glob(PATTERN) if path.name != record.journal]
        return [path for path in found if record.journal or not path.stat().st_size]
