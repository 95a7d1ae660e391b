"""Training events: the form of their lines, which outlives releases, and reading whatever lies in a file."""

import json

import pytest

from heartmula_studio.errors import TrainingError
from heartmula_studio.files.jsonl import last_line
from heartmula_studio.finetune.events import (
    DoneEvent,
    EvalEvent,
    FailedEvent,
    StartEvent,
    StepEvent,
    StoppedEvent,
    drop_ending,
    from_line,
    last_event,
    read_backwards,
    read_events,
    to_json,
)
from tests.training_events import evaluation, lines, start, step, stopped

# As 8d6ea2b wrote them.
WRITTEN = {
    '{"event": "start", "step": 0, "total_steps": 4, "steps_per_epoch": 2, "trained_parameters": 100, "windows": 2, '
    '"songs": ["one", "zw\\u00f6lf"], "held_out_songs": []}': StartEvent(
        total_steps=4,
        steps_per_epoch=2,
        trained_parameters=100,
        windows=2,
        songs=("one", "zwölf"),
        held_out_songs=(),
    ),
    '{"event": "step", "step": 1, "total_steps": 4, "progress": 25.0, "epoch": 1, "loss": 4.5, '
    '"per_codebook": [4.0, 5.0], "lr": 0.0001, "grad_norm": null, "step_sec": 0.25, "elapsed_sec": 0.5, '
    '"eta_sec": 0.8}': StepEvent(
        step=1,
        total_steps=4,
        progress=25.0,
        epoch=1,
        loss=4.5,
        per_codebook=(4.0, 5.0),
        lr=1e-4,
        grad_norm=None,
        step_sec=0.25,
        elapsed_sec=0.5,
        eta_sec=0.8,
    ),
    '{"event": "eval", "step": 2, "epoch": 1, "split": "held_out", "loss": 4.5, "per_codebook": [4.0, 5.0]}': EvalEvent(
        step=2, epoch=1, loss=4.5, per_codebook=(4.0, 5.0)
    ),
    **{
        f'{{"event": "{kind}", "step": 4, "initial_loss": 5.0, "eval_loss": 4.5, "best_loss": null, '
        '"total_steps": 4, "elapsed_sec": 9.5}': event(
            step=4, initial_loss=5.0, eval_loss=4.5, best_loss=None, total_steps=4, elapsed_sec=9.5
        )
        for kind, event in {"done": DoneEvent, "stopped": StoppedEvent}.items()
    },
    '{"event": "failed", "error": {"code": "training", "message": "No memory.", "hint": "Use less."}}': FailedEvent.of(
        TrainingError("No memory.", "Use less.")
    ),
}


@pytest.mark.parametrize(("line", "event"), WRITTEN.items(), ids=[type(event).__name__ for event in WRITTEN.values()])
def test_every_event_is_written_and_read_as_ever(line, event):
    assert json.loads(line).items() <= json.loads(to_json(event)).items()
    assert from_line(json.loads(line)) == event


def test_a_number_that_is_none_is_never_written():
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(step(1, loss=float("nan")))


@pytest.mark.parametrize(
    "change",
    [
        {"event": "other"},
        {"event": ["step"]},
        {"event": None},
        {"loss": None},
        {"loss": "3.0"},
        {"loss": float("nan")},
        {"loss": 10**400},
        {"step": -1},
        {"step": 1.5},
        {"step": 2**60},
        {"per_codebook": 3},
        {"progress": 101},
    ],
)
def test_a_damaged_line_is_no_event(change):
    line = json.loads(to_json(step(1)))
    assert from_line(line) == step(1)
    assert from_line(line | change) is None


def test_fields_of_a_later_release_are_ignored():
    assert from_line(json.loads(to_json(step(1))) | {"tokens_per_sec": 3}) == step(1)


def test_reading_from_both_ends(tmp_path):
    metrics, events = tmp_path / "metrics.jsonl", [start(), evaluation(0), step(1), step(2)]
    metrics.write_text(lines(*events[:2]) + '{"event": "step"}\n' + lines(*events[2:]) + '{"event": "st')
    assert list(read_events(metrics)) == events
    assert list(read_backwards(metrics)) == events[::-1]
    assert last_event(metrics) == step(2)
    assert last_event(tmp_path / "missing") is None


def test_dropping_the_ending_leaves_what_was_measured(tmp_path):
    """A resumed job that was killed at once was taken for failed, by the line its first attempt had left."""
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(lines(step(1), stopped(1)) + '{"ev')
    drop_ending(metrics)
    assert metrics.read_text() == lines(step(1))
    assert last_line(metrics)["step"] == 1
    drop_ending(tmp_path / "missing")
