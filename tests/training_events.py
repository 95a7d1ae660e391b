"""Training events as a run writes them, for tests that only care about some of their fields."""

from heartmula_studio.finetune.events import (
    DoneEvent,
    EvalEvent,
    StartEvent,
    StepEvent,
    StoppedEvent,
    TrainingEvent,
    to_json,
)

START = {"total_steps": 4, "steps_per_epoch": 2, "trained_parameters": 1, "windows": 2, "songs": ("a",)}
MEASURED = {"loss": 3.0, "per_codebook": (3.0,)}
STEP = {"total_steps": 4, "progress": 50.0, "epoch": 1, "lr": 1e-4, "grad_norm": 1.0, "step_sec": 1.0} | MEASURED
END = {"initial_loss": None, "eval_loss": None, "best_loss": None, "total_steps": 4, "elapsed_sec": 1.0}


def start(**fields) -> StartEvent:
    return StartEvent(**START | {"held_out_songs": ()} | fields)


def step(number: int, **fields) -> StepEvent:
    return StepEvent(**STEP | {"elapsed_sec": 1.0, "eta_sec": 1.0} | fields, step=number)


def evaluation(number: int, **fields) -> EvalEvent:
    return EvalEvent(**{"epoch": number} | MEASURED | fields, step=number)


def done(number: int, **fields) -> DoneEvent:
    return DoneEvent(**END | fields, step=number)


def stopped(number: int, **fields) -> StoppedEvent:
    return StoppedEvent(**END | fields, step=number)


def lines(*events: TrainingEvent) -> str:
    """The text of a metrics.jsonl."""
    return "".join(to_json(event) + "\n" for event in events)
