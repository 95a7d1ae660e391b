"""What is said of records: all of them but what concerns this server alone."""

import dataclasses

import pytest

from heartmula_studio.files.public_text import hide_folder
from heartmula_studio.services.answers import ANSWERS, answer
from heartmula_studio.store.records import AudioFile, Dataset, Generation, Job, Proposal, Worker, utc_now
from heartmula_studio.store.views import ImportedDataset

KEPT_BACK = {
    Job: {"worker"},
    AudioFile: {"analyzed_by"},
    Dataset: {"journal"},
    ImportedDataset: {"journal"},
    Proposal: {"added", "wrote_styles"},
    Generation: {"decoding", "tried"},
}

COUNTED = {"num_files"}  # of a list that is told in part


@pytest.mark.parametrize("record", ANSWERS)
def test_an_answer_has_the_fields_of_its_record_but_what_is_kept_back(record):
    told = [name for name in ANSWERS[record].model_fields if name not in COUNTED]
    assert told == [field.name for field in dataclasses.fields(record) if field.name not in KEPT_BACK.get(record, ())]


def test_a_job_tells_neither_its_process_nor_where_this_server_keeps_its_base(tmp_path):
    base = str(tmp_path / "3B")
    hide_folder(tmp_path / "3B")
    job = Job(
        *("a1b2", "c3d4", "Mine", "lora", 1, 1e-4, 8, base, "cpu", {"base_model": base, "seed": 1}, utc_now()),
        worker=Worker(4711, 1.0, "studio-7"),
    )
    [told] = [one.model_dump_json() for one in answer([job])]
    for secret in ("4711", "studio-7", str(tmp_path)):
        assert secret not in told
    assert '"base_model":"3B"' in told
