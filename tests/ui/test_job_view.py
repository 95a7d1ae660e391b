"""What the page says of a job, from records made here."""

import json
import re
from dataclasses import replace
from html import unescape

import pytest

from heartmula_studio.finetune.events import TrainingEvent, to_line
from heartmula_studio.store.records import Checkpoint, Failure, Job
from heartmula_studio.ui.job_view import ACTIONS, job_card, job_view, log_tail, loss_trend, plain
from tests.training_events import start, step

NOW = "2026-11-25T14:02:00.000000+00:00"
HOSTILE = '</script><img src=x onerror="alert(1)">'
JOB = Job(
    id="job1",
    dataset_id="data1",
    dataset_name="Lagos nights",
    method="lora",
    epochs=3,
    learning_rate=1e-4,
    lora_rank=8,
    base_model="nano",
    device="cpu",
    config={},
    created_at=NOW,
    status="running",
    phase="training",
    progress=42.86,
    epoch=2,
    step=6,
    total_steps=14,
    loss=0.45119,
    eval_loss=0.5,
    eta_sec=65.0,
)


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def view(job: Job, events=(), log=()):
    return job_view(job, map(to_line, events), log, log_scale=False)


def curve(*epochs: list[float], steps_per_epoch: int | None = None) -> list[TrainingEvent]:
    """The events of a run: one list of losses for each epoch."""
    events = [start(steps_per_epoch=steps_per_epoch or len(epochs[0]))]
    for number, losses in enumerate(epochs, start=1):
        events += [step(0, epoch=number, loss=loss) for loss in losses]
    return events


def test_a_running_job_in_figures():
    said = text_of(view(JOB).numbers)
    for figure in ("Progress: 42.86 %", "Epoch: 2 of 3", "Loss: 0.4512", "Held-out loss: 0.5000", "Step: 6 of 14"):
        assert figure in said
    assert "Time left: 65 s" in said


def test_a_job_that_waits_says_for_what():
    job = replace(JOB, status="queued", phase="waiting", message="Waits for a song.", loss=None, total_steps=None)
    said = text_of(view(job).numbers)
    assert "Waits for a song." in said
    assert "Loss: –" in said


def test_the_bar_is_as_far_as_the_job():
    assert 'aria-valuenow="43"' in view(JOB).numbers
    assert "width:42.86%" in view(JOB).numbers


def test_an_ended_job_has_no_time_left_and_no_bar():
    numbers = view(replace(JOB, status="completed", phase=None)).numbers
    assert "Time left" not in numbers
    assert "progressbar" not in numbers


def test_nothing_that_people_wrote_becomes_markup():
    job = replace(
        JOB, dataset_name=HOSTILE, message=HOSTILE, status="failed", error=Failure("x", HOSTILE, HOSTILE), phase=None
    )
    shown = view(job, log=[HOSTILE])
    waiting = view(replace(job, status="queued", error=None))
    for html in (shown.heading, shown.notices, shown.log, job_card(job), waiting.numbers):
        assert "<img" not in html
        assert "</script" not in html
        assert HOSTILE in text_of(html)


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ("queued", {"cancel", "clone", "delete"}),
        ("running", {"stop", "cancel", "clone"}),
        ("completed", {"clone", "delete"}),
        ("interrupted", {"resume", "clone", "delete"}),
        ("failed", {"resume", "clone", "delete"}),
        ("cancelled", {"resume", "clone", "delete"}),
    ],
)
def test_only_what_works_in_a_state_is_offered(status, allowed):
    assert set(view(replace(JOB, status=status)).actions) == allowed == set(ACTIONS[status])


def test_a_failure_comes_with_what_to_do():
    notices = view(replace(JOB, status="failed", error=Failure("oom", "Too little memory.", "Use LoRA."))).notices
    assert "notice-error" in notices
    assert "Too little memory. Use LoRA." in text_of(notices)


@pytest.mark.parametrize(("audible", "kind"), [(True, "success"), (None, "info"), (False, "warning")])
def test_a_style_is_ready_only_where_it_can_be_heard(audible, kind):
    """A green tick said "Your style is ready" of one that nobody could hear, over the words "It did not fall"."""
    said = view(replace(JOB, status="completed", learned=True, is_audible=audible, message="What happened.")).notices
    assert f"notice-{kind}" in said
    assert "What happened." in said
    assert ("✅" in said) == (audible is True)
    assert "ready" not in said


def test_an_audible_style_with_a_flaw_gets_no_tick():
    job = replace(JOB, status="completed", is_audible=True, message="Audible, but copied.")
    for kind, tick in (("warning", "⚠️"), ("good", "✅")):
        ladder = {"rungs": [{"is_recommended": True, "words": [(kind, "")]}]}
        assert tick in job_view(job, (), (), log_scale=False, ladder=ladder).notices


def test_a_ladder_is_sent_as_one_text():
    """Gradio writes what a generator yields next into an object that it sent before, and that may not be drawn yet."""
    ladder = {"job": "job1", "rungs": []}
    assert json.loads(job_view(JOB, (), (), log_scale=False, ladder=ladder).ladder) == ladder
    assert view(JOB).ladder == ""


def test_the_made_style_is_part_of_the_view():
    style = Checkpoint("job1", "Lagos 1", (), "lora", {}, None, "job1", 1, NOW)
    assert job_view(JOB, (), (), log_scale=False, style=style).style is style


@pytest.mark.parametrize(
    ("epochs", "trend"),
    [
        ([[4.0, 5.0]], None),
        ([[4.0, 5.0], [3.9]], None),
        ([[4.0, 5.0], [3.5, 4.5]], "falling"),
        ([[4.0, 5.0], [5.0, 4.0]], "constant"),
        ([[4.0, 5.0], [4.1, 5.0]], "constant"),
        ([[4.0, 5.0], [4.5, 5.5]], "rising"),
        ([[4.0, 5.0], [3.0, 4.0], [3.4, 4.2]], "rising"),
        ([[4.0, 5.0], [3.0, 4.0], [3.0, 4.05]], "falling"),
    ],
)
def test_the_trend_compares_whole_epochs(epochs, trend):
    assert loss_trend(curve(*epochs, steps_per_epoch=2)) == trend


def test_a_long_first_epoch_is_compared_by_halves():
    assert loss_trend(curve([5.0] * 30 + [4.0] * 30, steps_per_epoch=1000)) == "falling"
    assert loss_trend(curve([4.0] * 30 + [5.0] * 30, steps_per_epoch=1000)) == "rising"
    assert loss_trend(curve([4.0] * 15 + [5.0] * 15, steps_per_epoch=1000)) is None


def test_no_measurements_have_no_trend():
    assert loss_trend([]) is None


def test_a_loss_that_does_not_fall_brings_the_tip():
    rising, falling = curve([4.0], [5.0]), curve([5.0], [4.0])
    assert "Lower the learning rate, to 0.00005 for example: stop this job and clone it." in text_of(
        view(JOB, rising).notices
    )
    assert "clone this job." in text_of(view(replace(JOB, status="completed"), rising).notices)
    assert "learning rate" not in view(JOB, falling).notices


def test_the_log_ends_with_its_last_lines():
    log = text_of(log_tail([f"line {number}" for number in range(100)]))
    assert "line 99" in log
    assert "line 60" in log
    assert "line 59" not in log


def test_a_card_tells_one_run_from_another():
    assert "⚡ LoRA · rank 8 · 3 epochs · learning rate 0.0001" in text_of(job_card(JOB))
    full = text_of(job_card(replace(JOB, method="full", epochs=1)))
    assert "🔥 Full · 1 epoch · learning rate 0.0001" in full


@pytest.mark.parametrize(("number", "text"), [(1e-4, "0.0001"), (5e-5, "0.00005"), (1e-9, "0.000000001"), (1.0, "1")])
def test_small_numbers_have_no_exponent(number, text):
    assert plain(number) == text
