"""The folder of one training run. Loads no torch.

config.json     its settings, see `TrainConfig`
dataset/        what it learns from, unless config.json names another folder
metrics.jsonl   its events, for programs, see `events`
logs.txt        its log, for people
state/          a folder for each saved step, to resume from, see `state`
checkpoints/    `best`, where a song is held out, and `last`, see `checkpointing`
stop            asks the run to save and end; anybody may put it there
run.lock        locked while a run is at work here
"""

from pathlib import Path
from typing import Literal

CheckpointName = Literal["best", "last"]
CHECKPOINT_NAMES: tuple[CheckpointName, ...] = ("best", "last")
STEP_PREFIX = "step-"


class RunFolder:
    """Paths in the folder of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.config, self.dataset = path / "config.json", path / "dataset"
        self.metrics, self.logs = path / "metrics.jsonl", path / "logs.txt"
        self.states, self._checkpoints = path / "state", path / "checkpoints"
        self.stop, self.lock = path / "stop", path / "run.lock"

    def checkpoint(self, name: CheckpointName) -> Path:
        return self._checkpoints / name

    def best_checkpoint(self) -> Path:
        """Return the best checkpoint, or the last one where no song is held out."""
        best = self.checkpoint("best")
        return best if best.is_dir() else self.checkpoint("last")

    def saved_step(self) -> int | None:
        """Return the step that resuming goes on from, None where nothing is saved."""
        saved = state_folders(self.states)
        return int(saved[-1].name.removeprefix(STEP_PREFIX)) if saved else None


def state_folders(states: Path) -> list[Path]:
    """List the saved states under `state/`, the oldest first; whatever else lies there is not ours."""
    return sorted(path for path in states.glob(f"{STEP_PREFIX}*") if path.is_dir())


def state_name(step: int) -> str:
    return f"{STEP_PREFIX}{step:08d}"
