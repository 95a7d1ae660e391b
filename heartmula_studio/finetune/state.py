"""The resumable state of a run, as one folder per saved step under `state/`.

    state/step-00000120/weights.safetensors   every trained tensor
                        average.safetensors   their average, where one is kept
                        optimizer.pt          moments, and the loss scale of fp16; opened with weights_only
                        progress.json         counters, losses, and what the run is (`identity`)

No random state is stored: every draw is a function of (seed, epoch, example), see `data_plan`. A folder appears whole
and the one before it goes only afterwards, so a kill at any moment leaves a loadable state.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from heartmula_studio.definition import settings_of
from heartmula_studio.errors import CheckpointCorruptError, InvalidInputError
from heartmula_studio.files.atomic import TEMPORARY_PREFIX, recover_folder, replaced_folder
from heartmula_studio.files.torch_file import save_torch_file
from heartmula_studio.finetune.config import TrainConfig, current_names
from heartmula_studio.finetune.model_setup import restore_weights
from heartmula_studio.finetune.run_folder import STEP_PREFIX, step_folders, step_name
from heartmula_studio.finetune.setup import Setup
from heartmula_studio.finetune.sharding import load_optimizer_state, optimizer_state

SCHEMA = 1


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run. Losses are means over the codebooks, in nats; None where not measured."""

    step: int = 0
    evaluated_step: int | None = None
    elapsed_sec: float = 0.0
    train_loss: float | None = None
    initial_loss: float | None = None
    eval_loss: float | None = None
    best_loss: float | None = None
    metrics_bytes: int = 0  # length of metrics.jsonl when the state was saved
    rung_step: int | None = None  # the last rung whose figures are known

    def after_step(self, loss: float, seconds: float) -> "RunProgress":
        return replace(self, step=self.step + 1, train_loss=loss, elapsed_sec=self.elapsed_sec + seconds)

    def with_held_out_loss(self, loss: float) -> "RunProgress":
        """Note the held-out loss at this step: that of the base before the first one, else perhaps the best so far."""
        if self.step == 0:
            return replace(self, eval_loss=loss, initial_loss=loss)
        return replace(self, eval_loss=loss, best_loss=loss if self.best_loss is None else min(loss, self.best_loss))

    def after_rung(self, seconds: float) -> "RunProgress":
        return replace(self, rung_step=self.step, elapsed_sec=self.elapsed_sec + seconds)

    def after_evaluation(self, seconds: float) -> "RunProgress":
        return replace(self, evaluated_step=self.step, elapsed_sec=self.elapsed_sec + seconds)


@dataclass(frozen=True)
class RunState:
    """`identity`: what must stay the same for the run to be continued, see `run_identity`. `average`: that of `weights`
    by their names, where one is kept.
    """

    progress: RunProgress
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    identity: dict[str, Any]
    average: dict[str, Tensor] = field(default_factory=dict)


def gather_state(setup: Setup, progress: RunProgress) -> RunState:
    """Collect a run's state, unsharded; weights and moments on the main process only. All processes take part."""
    optimizer = {"optimizer": optimizer_state(setup.optimizer, keep=setup.accelerator.is_main_process)}
    if setup.accelerator.scaler is not None:
        optimizer["scaler"] = setup.accelerator.scaler.state_dict()
    average = setup.average.weights if setup.average else {}
    return RunState(progress, setup.gather_weights(), optimizer, setup.identity, average)


def restore_state(setup: Setup, state: RunState) -> None:
    """Bring weights and optimizer into a saved state. Raises as `check_identity` and `restore_weights` do."""
    check_identity(state.identity, setup.identity)
    restore_weights(setup.network, state.weights)
    if setup.average:
        setup.average.restore(state.average)
    load_optimizer_state(setup.optimizer, state.optimizer["optimizer"])
    if setup.accelerator.scaler is not None:
        setup.accelerator.scaler.load_state_dict(state.optimizer["scaler"])


def save_state(folder: Path, state: RunState) -> None:
    """Write `state` under `folder`, then remove the older ones."""
    target = folder / step_name(state.progress.step)
    with replaced_folder(target) as temporary:
        save_file(state.weights, temporary / "weights.safetensors")
        if state.average:
            save_file(state.average, temporary / "average.safetensors")
        save_torch_file(state.optimizer, temporary / "optimizer.pt")
        values = {"schema": SCHEMA, **asdict(state.progress), "identity": state.identity}
        (temporary / "progress.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for other in step_folders(folder):
        if other != target:
            shutil.rmtree(other)


def load_state(folder: Path) -> RunState | None:
    """Read the newest state under `folder`, None without one. Raises CheckpointCorruptError where it is damaged."""
    saved = step_folders(folder)
    if not saved:
        return None
    try:
        values = json.loads((saved[-1] / "progress.json").read_text(encoding="utf-8"))
        if (schema := values.pop("schema")) != SCHEMA:
            raise ValueError(f"it has schema {schema}, this version reads {SCHEMA}")
        return RunState(
            identity=with_later_settings(values.pop("identity")),
            progress=RunProgress(**values),
            weights=load_file(saved[-1] / "weights.safetensors"),
            average=load_file(average) if (average := saved[-1] / "average.safetensors").is_file() else {},
            optimizer=torch.load(saved[-1] / "optimizer.pt", map_location="cpu", weights_only=True),
        )
    except Exception as error:  # whatever a reader trips over, the file is what is wrong
        raise CheckpointCorruptError(
            f"The saved training state {saved[-1]} cannot be read: {error}.",
            "Delete that folder to go on from an older one, or from the start.",
        ) from error


def with_later_settings(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's identity with the defaults of settings that a later release than the one that wrote it brought."""
    settings = settings_of(TrainConfig)
    known = {name: value for name, value in current_names(identity).items() if name in settings}
    return current_names(identity) | TrainConfig.from_dict(known).to_dict()


def recover_states(folder: Path) -> None:
    """Tidy up what a killed run was writing, folders of steps, under `folder`; what one was to replace comes back."""
    for path in list(folder.glob(f"{TEMPORARY_PREFIX}{STEP_PREFIX}*")):
        name = path.name.removeprefix(TEMPORARY_PREFIX)
        recover_folder(folder / name[: len(step_name(0))])


def check_identity(saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raise InvalidInputError, naming what changed, rather than continue one run with the settings of another."""
    changed = [name for name in sorted(current) if saved.get(name) != current[name]]
    if changed:
        raise InvalidInputError(
            f"The saved training state belongs to another run; changed since: {', '.join(changed)}.",
            "Put the old settings back to resume, or start a new job folder.",
        )
