"""Rungs of a job: listed, marked, kept, and told from the base blind."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.events import FiguresEvent
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.services.planning.throughput import PREVIEW_SONG_SEC, preview_song_sec
from heartmula_studio.services.training.auditions import guessed
from tests.ladders import COPIED, make_ladder
from tests.still_studio import settings_for, still_studio
from tests.training_events import lines

REPOSITORY = Path(__file__).parents[3]
KILLED_VOTE = """
import os, signal, sys
from pathlib import Path
from tests.still_studio import settings_for, still_studio

auditions = still_studio(settings_for(Path(sys.argv[1]))).auditions
sys.addaudithook(lambda event, arguments: os.kill(os.getpid(), signal.SIGKILL) if event == "os.rename" else None)
auditions.vote(sys.argv[2], sys.argv[3], 1, "b")
"""


@pytest.fixture
def studio(store):
    return still_studio(settings_for(store.root))


@pytest.fixture
def job(store):
    return make_ladder(store)


def test_the_base_comes_first_and_the_audible_rung_that_copies_nothing_is_recommended(studio, job):
    view = studio.ladder.get(job.id)
    assert [(rung.step, rung.is_base, len(rung.previews)) for rung in view.rungs] == [
        (0, True, 2),
        (2, False, 2),
        (4, False, 2),
        (6, False, 2),
    ]
    assert (view.recommended_step, view.is_audible) == (4, True)
    assert [rung.step for rung in view.rungs if rung.recommended] == [4]
    assert "closest to your tracks" in view.reason
    assert view.rungs[3].faults == ("a song comes close to a track (tt1 at 4 s)",)
    assert (view.rungs[0].eval_loss, view.rungs[2].figures["nearness"]) == (3.0, 0.6)


def test_a_damaged_rung_and_songs_that_are_missing_hide_nothing_else(studio, store, job):
    folder = store.jobs.folder(job.id)
    (folder / "checkpoints" / "step-00000002" / "meta.json").write_text("{")
    (folder / "previews" / "step-00000004" / "previews.json").unlink()
    assert [(rung.step, len(rung.previews)) for rung in studio.ladder.get(job.id).rungs] == [(0, 2), (4, 0), (6, 2)]


def test_a_star_stays_until_it_is_taken_away(studio, job):
    assert studio.ladder.star(job.id, 2).starred
    studio.ladder.star(job.id, 6)
    assert [rung.step for rung in studio.ladder.get(job.id).rungs if rung.starred] == [2, 6]
    assert not studio.ladder.star(job.id, 2, starred=False).starred
    assert studio.ladder.rung(job.id, 6).starred


def test_a_rung_becomes_a_style_once_and_outlives_its_job(studio, store, job):
    kept = studio.ladder.keep(job.id, 6, "Copy cat")
    assert (kept.name, kept.job_id, kept.recipe["step"]) == ("Copy cat", job.id, 6)
    assert kept.figures["copied_track"] == COPIED.copied_track
    assert studio.ladder.keep(job.id, 6).id == kept.id == studio.ladder.rung(job.id, 6).checkpoint_id
    assert studio.ladder.keep(job.id, 2).name == "Arcade, step 2"
    with pytest.raises(InvalidInputError, match="characters"):
        studio.ladder.keep(job.id, 4, "x" * 10_000)
    store.jobs.delete(job.id)
    assert len(list(store.checkpoints.folder(kept.id).glob("adapter_*"))) == 2


@pytest.mark.parametrize("step", [0, 3, -2, 10**300])
def test_what_was_not_kept_is_not_there(studio, job, step):
    for use in (studio.ladder.keep, studio.ladder.download, studio.ladder.folder, studio.auditions.start):
        with pytest.raises(NotFoundError, match=f"step {step}"):
            use(job.id, step)


def test_a_song_that_was_not_rendered_is_not_there(studio, job):
    assert studio.ladder.preview(job.id, 0, 1).is_file()
    for step, number in ((0, 2), (3, 0), (-2, 0), (2, -1), (10**300, 0), (2, 10**300)):
        with pytest.raises(NotFoundError, match=f"song {number} after step {step}"):
            studio.ladder.preview(job.id, step, number)


def test_nothing_tells_which_side_is_trained_before_the_last_vote(studio, store, job):
    audition = studio.auditions.start(job.id, 4, trials=8)
    assert {trial.trained for trial in audition.trials} == {None}
    assert [trial.number for trial in audition.trials] == [0, 1] * 4
    stored = json.loads((store.jobs.folder(job.id) / "auditions" / f"{audition.id}.json").read_text())
    sides = [trial["trained"] for trial in stored["trials"]]
    for number, side in enumerate(sides):
        assert studio.auditions.audio(job.id, audition.id, number, side) == studio.ladder.preview(job.id, 4, number % 2)
    wrong = {"a": "b", "b": "a"}
    studio.auditions.vote(job.id, audition.id, 0, sides[0])
    for number, side in enumerate(sides):  # the first changes its mind
        assert studio.auditions.get(job.id, audition.id).result is None
        audition = studio.auditions.vote(job.id, audition.id, number, side if number else wrong[side])
    assert [trial.trained for trial in audition.trials] == sides
    assert (audition.result.correct, audition.result.told) == (7, True)
    assert (
        audition.result.sentence == "You told it from the base in 7 of 8. Guessing does as well in 4 of 100 auditions."
    )
    assert studio.auditions.list(job.id) == [audition]
    with pytest.raises(ConflictError, match="votes"):
        studio.auditions.vote(job.id, audition.id, 0, sides[0])


def test_a_vote_that_is_killed_as_it_is_written_can_be_given_again(studio, store, job):
    audition = studio.auditions.start(job.id, 4, trials=2)
    studio.auditions.vote(job.id, audition.id, 0, "a")
    command = [sys.executable, "-c", KILLED_VOTE, str(store.root), job.id, audition.id]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    assert [trial.choice for trial in studio.auditions.get(job.id, audition.id).trials] == ["a", None]
    assert studio.auditions.vote(job.id, audition.id, 1, "b").result is not None


def test_wrong_votes_change_nothing(studio, job):
    audition = studio.auditions.start(job.id, 4, trials=1)
    for trial, choice, error in ((1, "a", NotFoundError), (-1, "a", NotFoundError), (0, "c", InvalidInputError)):
        with pytest.raises(error):
            studio.auditions.vote(job.id, audition.id, trial, choice)
    for trials in (0, 65, True):
        with pytest.raises(InvalidInputError, match="trials"):
            studio.auditions.start(job.id, 4, trials)
    for id in ("../../manifest", "a" * 12):
        with pytest.raises(NotFoundError):
            studio.auditions.get(job.id, id)
    assert studio.auditions.list(job.id) == [audition]


def test_without_songs_there_is_nothing_to_audition(studio, store):
    job = make_ladder(store, {2: Figures()})
    (store.jobs.folder(job.id) / "previews" / "step-00000002" / "previews.json").unlink()
    with pytest.raises(ConflictError, match="No songs"):
        studio.auditions.start(job.id, 2)


def test_guessing():
    assert guessed(0, 8) == 1
    assert guessed(8, 8) == 1 / 256
    assert guessed(7, 8) == 9 / 256


def test_a_job_without_rungs_has_a_base(studio, store):
    view = studio.ladder.get(make_ladder(store, {}).id)
    assert (len(view.rungs), view.recommended_step, view.verdict) == (1, None, "")


def test_which_song_is_preferred_is_asked_blind_as_well(studio, store):
    job = make_ladder(store)
    audition = studio.auditions.start(job.id, 4, trials=2, question="preferred")
    for trial in range(2):
        audition = studio.auditions.vote(job.id, audition.id, trial, "a")
    assert audition.question == "preferred"
    assert audition.result.sentence.startswith(f"You preferred it to the base in {audition.result.correct} of 2. ")
    with pytest.raises(InvalidInputError, match="The question is 'louder'"):
        studio.auditions.start(job.id, 4, question="louder")


def test_songs_are_expected_to_take_as_long_as_they_did(store, job):
    config = TrainConfig.from_dict(job.config)
    assert preview_song_sec(store, config, "cpu") == PREVIEW_SONG_SEC
    with (store.jobs.folder(job.id) / "metrics.jsonl").open("a") as file:
        file.write(lines(FiguresEvent(step=4, figures={}, seconds=9.0)))
    assert preview_song_sec(store, config, "cpu") == 9.0 / config.preview_songs
    assert preview_song_sec(store, replace(config, method="full"), "cpu") == PREVIEW_SONG_SEC
