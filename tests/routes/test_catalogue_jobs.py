"""Trainings on a catalogue, which the server's settings name the place of."""

from pathlib import Path

import pytest

from tests.finetune.catalogues import NANO_CODES, made_up_row, write_catalogue
from tests.routes.waiting import wait_for
from tests.studio_server import catalogues_of

NAME = "mine"


@pytest.fixture(scope="module")
def folder(server) -> Path:
    """A catalogue of twelve recordings, beside a folder that is none and a file."""
    place = catalogues_of(server.data_dir)
    (place / "half").mkdir(parents=True)
    (place / "notes.txt").write_text("not a catalogue")
    return write_catalogue(place / NAME, "nano", [made_up_row(number, 20 + number, NANO_CODES) for number in range(12)])


def test_catalogues_that_are_whole_are_listed(client, folder):
    assert client.get("/training/catalogues").json() == [NAME]


@pytest.mark.parametrize("name", ["other", "half", ".", "..", f"../catalogues/{NAME}", f"{NAME}/", "/etc", "\0"])
def test_no_other_name_is_taken(client, folder, name):
    refused = client.post("/training/jobs", json={"catalogue": name})
    assert refused.status_code == 404
    error = refused.json()["error"]
    assert "has no catalogue" in error["message"]
    assert NAME in error["hint"]


@pytest.mark.parametrize("source", [{}, {"catalogue": NAME, "dataset_id": "k3v9x2m4q8ab"}, {"catalogue": ""}])
def test_a_training_learns_from_one_of_both(client, folder, source):
    assert 400 <= client.post("/training/jobs", json=source).status_code < 500
    assert client.post("/training/estimate", json={"catalogue": NAME}).status_code == 422


def test_a_job_learns_from_a_catalogue(client, folder):
    settings = {"max_steps": 3, "max_window_sec": 2.0, "ladder_rungs": 0, "prior_fraction": 0.0}
    queued = client.post("/training/jobs", json={"catalogue": NAME, **settings})
    assert queued.status_code == 202
    job = wait_for(client, f"/training/jobs/{queued.json()['id']}")
    assert (job["status"], job["step"], job["catalogue"]) == ("completed", 3, NAME)
    assert (job["dataset_id"], job["dataset_name"], job["config"]["dataset"]) == ("", NAME, NAME)
    style = client.get(f"/training/checkpoints/{job['checkpoint_id']}").json()
    assert (style["name"], style["dataset_id"], style["catalogue"]) == (f"{NAME} 1", None, NAME)
    start = client.get(f"/training/jobs/{job['id']}/metrics").json()[0]
    assert start["songs"] == [f"11 recordings of {NAME}"]
    again = client.post(f"/training/jobs/{job['id']}/clone", json={"epochs": 2}).json()
    assert (again["catalogue"], again["dataset_id"], again["epochs"]) == (NAME, "", 2)
    client.post(f"/training/jobs/{again['id']}/cancel", json={"save": False})
