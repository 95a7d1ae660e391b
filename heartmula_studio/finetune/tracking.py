"""What a run measures, for TensorBoard too: only where it is asked for, and only into the run's folder."""

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.events import EvalEvent, StepEvent

MEASURED = {"loss": "train/loss", "lr": "train/learning_rate", "grad_norm": "train/grad_norm"}
PROJECT = "run"


def require_tracker(config: TrainConfig) -> None:
    """Raise InvalidInputError where what config.json asks for is not installed."""
    if config.tracker == "tensorboard" and not is_tensorboard_available():
        raise InvalidInputError("TensorBoard is not installed.", "Run `pip install tensorboard`, or use tracker none.")


def start_tracking(accelerator: Accelerator, config: TrainConfig, step: int) -> None:
    """Open the tracker at a step; what was written behind it by a run that was cut off does not count."""
    if config.tracker != "none":
        accelerator.init_trackers(PROJECT, init_kwargs={config.tracker: {"purge_step": step + 1}})


def track(accelerator: Accelerator, event: StepEvent | EvalEvent) -> None:
    """Write what was measured at a step, if a tracker is open."""
    if isinstance(event, EvalEvent):
        values: dict[str, float] = {"held_out/loss": event.loss}
    else:
        found = {shown: getattr(event, name) for name, shown in MEASURED.items()}
        values = {name: value for name, value in found.items() if value is not None}
    accelerator.log(values, step=event.step)


def stop_tracking(accelerator: Accelerator) -> None:
    for tracker in accelerator.trackers:
        tracker.finish()
