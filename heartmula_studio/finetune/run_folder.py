"""The folder of one training run. Loads no torch.

config.json     its settings, see `TrainConfig`
dataset/        what it learns from, unless config.json names another folder
metrics.jsonl   its events, for programs, see `events`
logs.txt        its log, for people
state/          a folder for each saved step, to resume from, see `state`
checkpoints/    `best`, where a song is held out, and `last`, see `checkpointing`
parent/         the checkpoint that it starts from, where config.json names one
stop            asks the run to save and end; anybody may put it there
run.lock        locked while a run is at work here
"""

from pathlib import Path
from typing import Literal

from heartmula_studio.settings import BUNDLED_BASE

CheckpointName = Literal["best", "last"]
CHECKPOINT_NAMES: tuple[CheckpointName, ...] = ("best", "last")
STEP_PREFIX = "step-"


class RunFolder:
    """Paths in the folder of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.config, self.dataset, self.parent = path / "config.json", path / "dataset", path / "parent"
        self.metrics, self.logs = path / "metrics.jsonl", path / "logs.txt"
        self.states, self._checkpoints = path / "state", path / "checkpoints"
        self.stop, self.lock = path / "stop", path / "run.lock"

    def base(self, base_model: str) -> str | Path:
        """Return the base that config.json names, for `find_base`: a relative path starts at the run's folder."""
        return base_model if base_model == BUNDLED_BASE else self.path / base_model

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
    found = [path for path in states.glob(f"{STEP_PREFIX}*") if path.is_dir()]
    return sorted(path for path in found if path.name.removeprefix(STEP_PREFIX).isdecimal())


def state_name(step: int) -> str:
    return f"{STEP_PREFIX}{step:08d}"
