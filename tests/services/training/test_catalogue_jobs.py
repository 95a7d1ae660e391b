"""A real worker on a catalogue: stopped, killed and resumed; and one whose catalogue is gone."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from heartmula_studio.files.public_text import public
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.services.library.catalogues import CatalogueFolder
from tests.finetune.catalogues import NANO_CODES, made_up_row, write_catalogue
from tests.finetune.training_jobs import loss_curve
from tests.services.studio_folder import CONFIG, folder_of, run_to_the_end, run_until, submit


@pytest.fixture
def catalogue(tmp_path) -> CatalogueFolder:
    rows = [made_up_row(number, 20 + number, NANO_CODES) for number in range(20)]
    return CatalogueFolder("mine", write_catalogue(tmp_path / "mine", "nano", rows))


@pytest.mark.long
def test_stopped_and_killed_it_resumes_to_the_losses_of_an_undisturbed_run(store, queue, catalogue, tmp_path):
    job = submit(queue, catalogue, ladder_rungs=0)
    run_until(queue, lambda: queue.get(job.id).step > 2)
    queue.stop(job.id, save=True)
    stopped = run_to_the_end(queue, job)
    assert (stopped.status, "saved at step" in stopped.message) == ("interrupted", True)

    queue.resume(job.id)
    run_until(queue, lambda: queue.get(job.id).step > stopped.step + 2)
    os.kill(queue.get(job.id).worker.pid, signal.SIGKILL)
    killed = run_to_the_end(queue, job)
    assert (killed.status, "Resume goes on from step" in killed.message) == ("interrupted", True)

    queue.resume(job.id)
    assert run_to_the_end(queue, job).status == "completed"
    undisturbed = make_run(tmp_path / "undisturbed", catalogue)
    train(undisturbed)
    assert loss_curve(folder_of(store, job).path) == loss_curve(undisturbed)


def make_run(folder: Path, catalogue: CatalogueFolder) -> Path:
    folder.mkdir()
    replace(CONFIG, dataset=str(catalogue.path), ladder_rungs=0).save(RunFolder(folder).config)
    return folder


def test_a_catalogue_that_is_gone_fails_the_job_by_name(store, queue, catalogue):
    job = submit(queue, catalogue)
    shutil.rmtree(catalogue.path)
    failed = run_to_the_end(queue, job)
    assert (failed.status, failed.error.code) == ("failed", "not_found")
    assert f"no catalogue in {catalogue.name} that is whole" in public(failed.error.message)
    assert queue.resume(job.id).status == "queued"
    assert folder_of(store, job).read_songs().catalogue == str(catalogue.path)
