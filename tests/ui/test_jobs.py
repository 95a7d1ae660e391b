"""The job that the Jobs tab shows."""

from heartmula_studio.ui.jobs import selected_id
from tests.still_studio import filled, settings_for, still_studio


def test_a_newer_job_does_not_displace_the_one_shown(tmp_path):
    """Its buttons acted on the newer one: "Delete it" had been asked about another."""
    studio = still_studio(settings_for(tmp_path / "data"))
    assert selected_id(studio, "", "") == ""
    dataset = filled(studio)
    first, second = (studio.jobs.start(dataset.id, "lora") for _ in range(2))
    assert selected_id(studio, "", "") == second.id
    assert selected_id(studio, "", first.id) == first.id
    assert selected_id(studio, second.id, first.id) == second.id
    studio.jobs.delete(first.id)
    assert selected_id(studio, "", first.id) == second.id
