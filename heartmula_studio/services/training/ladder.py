"""The rungs of a job: checkpoints kept along the way, their songs and figures; each can be used as a style."""

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import CheckpointError, NotFoundError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.finetune.checkpoint_meta import META_FILE, CheckpointMeta
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.finetune.previews import Preview, preview_file, read_previews
from heartmula_studio.finetune.recommendation import faults, recommended_rung
from heartmula_studio.finetune.run_folder import folder_bytes
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.library.checkpoints import CheckpointService
from heartmula_studio.services.songs.service import SongService
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.outcome import publish
from heartmula_studio.services.training.progress import MetricsSummary
from heartmula_studio.store.archives import zipped
from heartmula_studio.store.names import checked_name, safe_filename, split_suffix
from heartmula_studio.store.record import Record
from heartmula_studio.store.records import Checkpoint, Generation
from heartmula_studio.store.store import Store
from heartmula_studio.store.style_files import belongs
from heartmula_studio.store.views import LadderView, PreviewSong, Rung

STARS_FILE = "stars.json"


@dataclass(frozen=True)
class Stars(Record):
    """The steps of the rungs that a person has marked."""

    steps: tuple[int, ...] = ()


class LadderService:
    """Any thread may call any method. Methods raise NotFoundError for an unknown job or rung, and StorageError."""

    def __init__(self, store: Store, checkpoints: CheckpointService, songs: SongService):
        self._store, self._checkpoints, self._songs = store, checkpoints, songs

    def get(self, job_id: str) -> LadderView:
        """All rungs there are so far, the base first, and which one is recommended."""
        folder = self._job(job_id)
        recommended = recommended_rung(folder)
        starred, kept = self._stars(folder).steps, self._kept(job_id)
        rungs = [self._base(folder)]
        for step in folder.rung_steps():
            with suppress(CheckpointError):  # a damaged one is left out
                rungs.append(self._rung(folder, step))
        best = recommended.step if recommended else None
        return LadderView(
            job_id=job_id,
            rungs=tuple(
                replace(
                    rung,
                    starred=rung.step in starred,
                    recommended=rung.step == best,
                    checkpoint_id=None if rung.is_base else kept.get(rung.step),
                )
                for rung in rungs
            ),
            recommended_step=best,
            reason=recommended.reason if recommended else "",
            verdict=recommended.verdict if recommended else "",
            is_audible=recommended.is_audible if recommended else None,
        )

    def rung(self, job_id: str, step: int) -> Rung:
        """One rung; step 0 is the base."""
        found = next((rung for rung in self.get(job_id).rungs if rung.step == step), None)
        if found is None:
            raise self._unknown(job_id, step)
        return found

    def folder(self, job_id: str, step: int) -> Path:
        """The folder of a rung's weights."""
        job = self._job(job_id)
        if step not in job.rung_steps() or not (job.rung(step) / META_FILE).is_file():
            raise self._unknown(job_id, step)
        return job.rung(step)

    def preview(self, job_id: str, step: int, number: int) -> Path:
        """The sound of a rung's song, a FLAC file."""
        job = self._job(job_id)
        is_there = step in (0, *job.rung_steps())
        if not is_there or number not in [song.number for song in read_previews(job.preview(step))]:
            raise NotFoundError(
                f"The job {job_id} has no song {number} after step {step}.", "List its rungs to see which songs it has."
            )
        return preview_file(job.preview(step), number)

    def star(self, job_id: str, step: int, starred: bool = True) -> Rung:
        """Mark a rung, or take the mark away."""
        self.rung(job_id, step)
        folder = self._job(job_id)
        with self._store.jobs.locked(job_id):
            others = [other for other in self._stars(folder).steps if other != step]
            stars = Stars(tuple(sorted([*others, step] if starred else others)))
            path = folder.path / STARS_FILE
            with disk_explained(path), replaced_file(path) as temporary:
                temporary.write_bytes(stars.to_json())
        return self.rung(job_id, step)

    def keep(self, job_id: str, step: int, name: str | None = None) -> Checkpoint:
        """Make a rung a style of the library, once; it stays when the job is deleted.

        Raises CheckpointError, and InvalidInputError for an empty or too long name.
        """
        source, job = self.folder(job_id, step), self._store.jobs.get(job_id)
        if known := self._kept(job_id).get(step):
            return self._store.checkpoints.get(known)
        called = checked_name(name, "checkpoint") if name else f"{job.dataset_name}, step {step}"
        return publish(self._store, job, self._job(job_id), source, f"{job_id}-{step}", called)

    def activate(self, job_id: str, step: int, strength: float = 1.0) -> Checkpoint:
        """Make every song from the next one on with a rung, which is kept as a style. Raises CheckpointError."""
        return self._checkpoints.activate(self.keep(job_id, step).id, strength)

    def compare(
        self, job_id: str, step: int, request: SongRequest, format: str = "wav", strength: float | None = None
    ) -> tuple[Generation, Generation]:
        """Queue one song twice, by the base alone and with a rung, which is kept as a style. As `songs.compare`."""
        return self._songs.compare(self.keep(job_id, step).id, request, format, strength)

    def download(self, job_id: str, step: int) -> tuple[str, Iterator[bytes]]:
        """A file name, and the rung as one zip file piece by piece."""
        folder, job = self.folder(job_id, step), self._store.jobs.get(job_id)
        weights = sorted(path for path in folder.iterdir() if belongs(path.name, "lora"))
        filename = safe_filename(f"{job.dataset_name}, step {step}.zip".replace("/", "-").replace("\\", "-"))
        return filename, zipped([folder / META_FILE, *weights], split_suffix(filename)[0])

    def _job(self, job_id: str) -> JobFolder:
        return JobFolder(self._store.jobs.folder(job_id))

    def _kept(self, job_id: str) -> dict[int, str]:
        """The checkpoints of the library that rungs have become, by step."""
        found = [checkpoint for checkpoint in self._store.checkpoints.list() if checkpoint.job_id == job_id]
        return {checkpoint.recipe["step"]: checkpoint.id for checkpoint in found if "step" in checkpoint.recipe}

    def _stars(self, folder: JobFolder) -> Stars:
        try:
            return Stars.read(folder.path / STARS_FILE)
        except FileNotFoundError:
            return Stars()

    def _base(self, folder: JobFolder) -> Rung:
        first = MetricsSummary.read(folder.metrics).first_eval
        return view_of(0, 0, 0, first.loss if first else None, None, read_previews(folder.preview(0)))

    def _rung(self, folder: JobFolder, step: int) -> Rung:
        path = folder.rung(step)
        meta = CheckpointMeta.read(path)
        previews = read_previews(folder.preview(step))
        return view_of(step, meta.epochs, folder_bytes(path), meta.losses.eval, meta.figures, previews)

    def _unknown(self, job_id: str, step: int) -> NotFoundError:
        return NotFoundError(f"The job {job_id} has kept no checkpoint at step {step}.", "List its rungs to see which.")


def view_of(
    step: int, epoch: int, size_bytes: int, loss: float | None, figures: Figures | None, previews: tuple[Preview, ...]
) -> Rung:
    """Return a rung that nobody has marked or kept."""
    return Rung(
        step=step,
        epoch=epoch,
        is_base=step == 0,
        size_bytes=size_bytes,
        eval_loss=loss,
        figures=dataclasses.asdict(figures) if figures else {},
        faults=faults(figures) if figures else (),
        previews=tuple(PreviewSong(p.number, p.seed, p.tags, p.lyrics, p.duration_sec, p.ended) for p in previews),
        starred=False,
        recommended=False,
        checkpoint_id=None,
    )
