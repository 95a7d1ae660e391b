"""A run that starts from a checkpoint: it begins where that ended, in a run of its own, and says where it came from."""

import json
import shutil

import pytest

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.errors import CheckpointMismatchError, CheckpointMissingError, InvalidInputError
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.parent import follow_parent
from tests.finetune.training_jobs import loss_curve, read_metrics, song_row, write_job

SETTINGS = {"epochs": 1, "learning_rate": 1e-2, "lora": {"rank": 4, "alpha": 8.0, "use_dora": True}}


@pytest.fixture(scope="module")
def parent(tmp_path_factory, base_dir):
    """The folder of a trained run."""
    rows = [song_row(i, 10 + 3 * i) for i in range(6)]  # as make_job's
    job = write_job(tmp_path_factory.mktemp("jobs") / "parent", rows, base_model=str(base_dir), **SETTINGS)
    train(job)
    return job


def further(make_job, parent, name="child", **settings):
    return make_job(name, **{**SETTINGS, "start_from": str(parent / "checkpoints" / "last"), **settings})


def test_it_begins_where_its_parent_ended_and_names_it(make_job, parent):
    child = further(make_job, parent)
    result = train(child)
    assert result.initial_loss == pytest.approx(read_metrics(parent, "done")[0]["eval_loss"], abs=1e-6)
    meta, before = (json.loads((job / "checkpoints/last/meta.json").read_text()) for job in (child, parent))
    assert meta["parent"] == {"id": before["id"], "name": before["id"]}
    assert before["parent"] is None
    assert f"It goes on from the style {before['id']}" in (child / "logs.txt").read_text()


def test_it_is_resumed_bit_for_bit_from_its_own_copy(make_job, parent, tmp_path):
    whole, broken = further(make_job, parent, "whole"), further(make_job, parent, "broken", start_from="gone")
    shutil.copytree(parent / "checkpoints" / "last", broken / "parent")
    train(whole)
    train(broken, on_step=lambda event: (broken / "stop").touch() if event.step == 2 else None)
    train(broken)
    assert loss_curve(broken) == loss_curve(whole)


def test_more_songs_may_have_joined(make_job, parent):
    train(further(make_job, parent, rows=[song_row(i, 10 + 3 * i) for i in range(8)]))


def test_a_full_fine_tune_is_trained_further(make_job):
    first = make_job("first", method="full", epochs=1)
    before = train(first)
    child = make_job("child", method="full", epochs=1, start_from="../first/checkpoints/last")
    assert train(child).initial_loss == pytest.approx(before.eval_loss, abs=1e-6)


@pytest.mark.parametrize("lora", [{"rank": 8, "use_dora": True}, {"rank": 4}, {"rank": 4, "target_modules": ["w1"]}])
def test_another_kind_or_size_than_the_parents_is_refused(make_job, parent, lora):
    with pytest.raises(CheckpointMismatchError, match="kind and size"):
        train(further(make_job, parent, lora=lora))


def test_a_parent_of_another_base_is_refused(make_job, parent, base_without_one_code):
    with pytest.raises(CheckpointMismatchError, match="another base"):
        train(further(make_job, parent, base_model=str(base_without_one_code)))


def test_a_parent_that_is_gone_is_named(make_job):
    with pytest.raises(CheckpointMissingError, match="nowhere"):
        train(make_job(start_from="nowhere"))


def test_kind_and_rank_follow_the_parent(parent, base_dir):
    folder, model = parent / "checkpoints" / "last", find_base(base_dir).model
    followed = follow_parent(folder, model, "lora", {"epochs": 2, "lora_dropout": 0.1, "lora_rank": None})
    assert (followed["epochs"], followed["lora_dropout"], followed["lora_rank"]) == (2, 0.1, 4)
    assert (followed["lora_alpha"], followed["lora_use_dora"]) == (8.0, True)
    assert followed["lora_target_modules"] == ["q_proj", "k_proj", "v_proj", "output_proj", "w1", "w2", "w3"]
    with pytest.raises(InvalidInputError, match="lora_rank is 16"):
        follow_parent(folder, model, "lora", {"lora_rank": 16})
    with pytest.raises(InvalidInputError, match="method lora"):
        follow_parent(folder, model, "full", {})
