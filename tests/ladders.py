"""A job that has trained, with rungs and their songs, in a data folder: as a run leaves them, made in a moment."""

import dataclasses
from pathlib import Path

import soundfile
import torch

from heartmula_studio.finetune.checkpoint_meta import BaseId, CheckpointMeta, RunLosses
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.finetune.previews import Preview, preview_file, write_previews
from heartmula_studio.services.training.job_folder import JobFolder, SongList
from heartmula_studio.store.records import Job, utc_now
from heartmula_studio.store.store import Store
from tests.still_studio import adapter_folder
from tests.training_events import done, evaluation, lines, start, step

UNHEARD = Figures(is_audible=False, nearness=0.1, base_held_out_loss=3.0, held_out_loss=2.9)
AUDIBLE = Figures(is_audible=True, nearness=0.6, base_held_out_loss=3.0, held_out_loss=2.8)
COPIED = dataclasses.replace(AUDIBLE, nearness=0.9, is_near_copy=True, copied_track="tt1", copied_sec=4.0)
RUNGS = {2: UNHEARD, 4: AUDIBLE, 6: COPIED}
LAST_STEP = max(RUNGS)


def make_ladder(store: Store, rungs: dict[int, Figures] = RUNGS) -> Job:
    """Store a completed job whose rungs have these figures, and two songs each; the base has two as well."""
    id, config = store.jobs.new_id(), TrainConfig(epochs=1, max_steps=LAST_STEP)
    job = Job(
        id=id,
        dataset_id="gone",
        dataset_name="Arcade",
        method="lora",
        epochs=1,
        learning_rate=config.learning_rate,
        lora_rank=config.lora.rank,
        base_model="nano",
        device="cpu",
        config=config.to_dict(),
        created_at=utc_now(),
        status="completed",
    )
    return store.jobs.create(job, lambda path: fill(JobFolder(path), rungs))


def fill(folder: JobFolder, rungs: dict[int, Figures]) -> None:
    folder.write_songs(SongList(("electronic",), ()))
    steps = [step(number, loss=3.0 - number / 100) for number in range(1, LAST_STEP + 1)]
    events = [start(total_steps=LAST_STEP), evaluation(0, loss=3.0), *steps, done(LAST_STEP, initial_loss=3.0)]
    folder.metrics.write_text(lines(*events))
    folder.logs.write_text("".join(f"Step {event.step} of {LAST_STEP}: loss {event.loss:.4f}\n" for event in steps))
    write_songs(folder.preview(0))
    for number, figures in rungs.items():
        adapter_folder(folder.rung(number), scale=number / 100)
        meta(number, figures).write(folder.rung(number))
        write_songs(folder.preview(number))


def write_songs(folder: Path) -> None:
    folder.mkdir(parents=True)
    previews = tuple(Preview("techno", "", 1 + number, 1.0, number, 1.0, False) for number in range(2))
    write_previews(folder, previews)
    for preview in previews:
        noise = torch.rand(4410, generator=torch.Generator().manual_seed(hash((folder.name, preview.number)) % 2**31))
        soundfile.write(preview_file(folder, preview.number), noise.numpy() - 0.5, 44100)


def meta(step: int, figures: Figures) -> CheckpointMeta:
    return CheckpointMeta(
        id=f"weights{step}",
        schema=1,
        created_at=utc_now(),
        method="lora",
        base_model=BaseId("nano", "f"),
        step=step,
        total_steps=LAST_STEP,
        epochs=1,
        losses=RunLosses(train=3.0, initial=3.0, eval=figures.held_out_loss, best=2.8),
        songs=("tt1",),
        held_out_songs=(),
        config={},
        versions={},
        figures=figures,
    )
