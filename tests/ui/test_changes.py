"""What an open page takes for a change."""

from heartmula_studio.ui.changes import fingerprints
from tests.still_studio import filled, settings_for, still_studio


def test_a_job_that_was_stopped_and_resumed_between_two_looks_has_changed(tmp_path):
    """It is then in the state that it was in: the page went on showing that it had stopped."""
    studio = still_studio(settings_for(tmp_path / "data"))
    job = studio.jobs.start(filled(studio).id)
    before = fingerprints(studio)
    assert fingerprints(studio) == before
    studio.jobs.stop(job.id, save=False)
    assert studio.jobs.resume(job.id).status == job.status
    assert fingerprints(studio) != before
