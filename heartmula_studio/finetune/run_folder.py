"""The folder of one training run. Loads no torch.

config.json     its settings, see `TrainConfig`
dataset/        what it learns from, unless config.json names another folder
metrics.jsonl   its events, for programs, see `events`
logs.txt        its log, for people
state/          a folder for each saved step, to resume from, see `state`
checkpoints/    `best`, where a song is held out, `last`, and a folder for each rung, see `checkpointing`
parent/         the checkpoint that it starts from, where config.json names one
previews/       songs of the base and of each rung, see `previews`
tracking/       its measurements for TensorBoard, where they are asked for
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
        self.states, self.checkpoints, self.previews = path / "state", path / "checkpoints", path / "previews"
        self.stop, self.lock, self.tracking = path / "stop", path / "run.lock", path / "tracking"

    def base(self, base_model: str) -> str | Path:
        """Return the base that config.json names, for `find_base`: a relative path starts at the run's folder."""
        return base_model if base_model == BUNDLED_BASE else self.path / base_model

    def checkpoint(self, name: CheckpointName) -> Path:
        return self.checkpoints / name

    def chosen_checkpoint(self, rung: int | None) -> Path:
        """Return the rung at a step; without one the best checkpoint, or the last one where no song is held out."""
        if rung is not None:
            return self.rung(rung)
        best = self.checkpoint("best")
        return best if best.is_dir() else self.checkpoint("last")

    def rung(self, step: int) -> Path:
        """Return the checkpoint that is kept at a step, for listening."""
        return self.checkpoints / step_name(step)

    def rung_steps(self) -> list[int]:
        """List the steps of the rungs there are, in order."""
        return [step_of(path) for path in step_folders(self.checkpoints)]

    def preview(self, step: int) -> Path:
        """Return the folder of a rung's songs; step 0 is the base."""
        return self.previews / step_name(step)

    def saved_step(self) -> int | None:
        """Return the step that resuming goes on from, None where nothing is saved."""
        saved = step_folders(self.states)
        return step_of(saved[-1]) if saved else None


def step_folders(parent: Path) -> list[Path]:
    """List the folders of steps under `state/` and its like, the oldest first; whatever else lies there is not ours."""
    found = [path for path in parent.glob(f"{STEP_PREFIX}*") if path.is_dir()]
    return sorted(path for path in found if path.name.removeprefix(STEP_PREFIX).isdecimal())


def step_name(step: int) -> str:
    return f"{STEP_PREFIX}{step:08d}"


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix(STEP_PREFIX))


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
