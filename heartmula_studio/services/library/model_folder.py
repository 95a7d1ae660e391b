"""An official model on disk, in heartlib's `ckpt/` layout, with a list of its files as the Hub announced them."""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.arch.official import OfficialModel
from heartmula_studio.errors import NotFoundError, StorageError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.moving import remove
from heartmula_studio.services.library.hub_files import (
    HubFile,
    Watch,
    fetch,
    ignore,
    list_files,
    matches,
    size_of,
    unfinished,
)
from heartmula_studio.store.record import Record

OF_A_PART = re.compile(r"[\w.-]+\.(json|safetensors|yaml)|LICENSE(\.\w+)?|README\.md")
OF_THE_TOP = re.compile(r"(tokenizer|gen_config)\.json")
_TARGET = re.compile(r"([\w-][\w.-]*/)?[\w-][\w.-]*")


@dataclass(frozen=True)
class DownloadPlan(Record):
    """All files of a model, at the commits that were the newest when its download began."""

    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class ModelFolder:
    """What is under `root` of one model. Only what a plan names is ever touched."""

    def __init__(self, model: OfficialModel, root: Path):
        self.model, self.root = model, root
        self._plan = root / f"{model.name}.download.json"
        self.cancel = root / f"{model.name}.cancel"

    def read_plan(self) -> DownloadPlan | None:
        """Return the plan of a download that has begun. Raises StorageError where it is damaged."""
        try:
            plan = DownloadPlan.read(self._plan)
        except FileNotFoundError:
            return None
        if odd := [file.target for file in plan.files if not _TARGET.fullmatch(file.target)]:
            raise StorageError(f"{self._plan} names {odd[0]!r}, which is not a file of a model.", "Delete it.")
        return plan

    def make_plan(self) -> DownloadPlan:
        """Return the plan of the download, asking the Hub where none has begun; see that the disk can take it.

        Raises as `hub_errors`, StorageError; nothing is written then.
        """
        plan = self.read_plan()
        if plan is None:
            plan = DownloadPlan(
                tuple(
                    file
                    for part in self.model.parts
                    for file in list_files(part.repo, part.folder, OF_A_PART if part.folder else OF_THE_TOP)
                )
            )
        self._require_room(plan.size_bytes - self.done_bytes(plan))
        with disk_explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.cancel.unlink(missing_ok=True)
            with replaced_file(self._plan) as temporary:
                temporary.write_bytes(plan.to_json())
        return plan

    def download(self, plan: DownloadPlan, watch: Watch) -> None:
        """Fetch what is not there yet. Raises as `fetch`; what has come stays."""
        for file in plan.files:
            target = self.root / file.target
            if size_of(target) != file.size_bytes:
                fetch(file, target, watch)

    def verify(self, watch: Watch = ignore) -> list[str]:
        """Hash all files; remove those that are not what the Hub announced, and return their names.

        Raises NotFoundError without a plan, StorageError, and what `watch` raises.
        """
        plan = self.read_plan()
        if plan is None:
            raise NotFoundError(f"{self.model.name} has not been downloaded here.", "Download it first.")
        damaged = []
        with disk_explained(self.root):
            for file in plan.files:
                target = self.root / file.target
                if target.exists() and not matches(file, target, watch):
                    remove(target)
                    damaged.append(file.target)
        return damaged

    def remove(self) -> None:
        """Remove the files of the plan, and folders left empty. Raises NotFoundError without it, StorageError."""
        plan = self.read_plan()
        if plan is None:
            raise NotFoundError(f"{self.model.name} has not been downloaded here.", "There is nothing to remove.")
        with disk_explained(self.root):
            for file in plan.files:
                for path in (self.root / file.target, unfinished(self.root / file.target)):
                    remove(path)
            remove(self._plan)
            for folder in {(self.root / file.target).parent for file in plan.files} - {self.root}:
                with suppress(OSError):  # it holds something else
                    folder.rmdir()

    def done_bytes(self, plan: DownloadPlan) -> int:
        """Return how much of a plan is on disk, begun files included."""
        return sum(min(file.size_bytes, self._on_disk(file)) for file in plan.files)

    def missing(self, plan: DownloadPlan) -> Iterator[HubFile]:
        return (file for file in plan.files if size_of(self.root / file.target) != file.size_bytes)

    def free_bytes(self) -> int:
        there = next(path for path in (self.root, *self.root.parents) if path.is_dir())
        return shutil.disk_usage(there).free

    def _on_disk(self, file: HubFile) -> int:
        target = self.root / file.target
        return size_of(target) or size_of(unfinished(target))

    def _require_room(self, needed_bytes: int) -> None:
        free_bytes = self.free_bytes()
        if needed_bytes > free_bytes:
            raise StorageError(
                f"The download needs {needed_bytes / 1e9:.1f} GB more, and {free_bytes / 1e9:.1f} GB are free in "
                f"{self.root}.",
                "Make room, or name a folder on another disk with HEARTMULA_CHECKPOINTS_DIR.",
            )
