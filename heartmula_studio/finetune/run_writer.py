"""Writes a run's events, log, states and checkpoints."""

import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from heartmula_studio.files.wording import counted
from heartmula_studio.finetune.checkpointing import recover_checkpoints, require_finite_weights, save_checkpoint
from heartmula_studio.finetune.evaluate import MeanLoss
from heartmula_studio.finetune.events import (
    DoneEvent,
    EvalEvent,
    FiguresEvent,
    PreviewEvent,
    PreviewsSkippedEvent,
    RungEvent,
    StartEvent,
    StepEvent,
    StoppedEvent,
)
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.finetune.model_setup import trainable_weights
from heartmula_studio.finetune.optimizer_step import StepResult
from heartmula_studio.finetune.run_folder import CheckpointName, RunFolder
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.setup import Setup
from heartmula_studio.finetune.state import RunProgress, gather_state, recover_states, save_state
from heartmula_studio.finetune.tracking import start_tracking, stop_tracking, track


class RunWriter:
    """Writes on the main process; every process calls it, as gathering what is sharded needs them all."""

    def __init__(self, folder: RunFolder, setup: Setup, log: RunLog):
        self._folder, self._setup, self._log = folder, setup, log
        self._is_main = setup.accelerator.is_main_process
        self._total_steps = setup.plan.total_steps

    def recover(self) -> None:
        """Tidy up what a killed run was writing."""
        if self._is_main:
            recover_checkpoints(self._folder)
            for folder in (self._folder.states, self._folder.checkpoints, self._folder.previews):
                recover_states(folder)
        self._setup.accelerator.wait_for_everyone()

    # --- events and log --------------------------------------------------------------------------------------------

    def start(self, notes: Sequence[str]) -> None:
        """Begin the events anew, and say what is trained on what. `notes`: on the data."""
        setup = self._setup
        event = StartEvent(
            total_steps=self._total_steps,
            steps_per_epoch=setup.plan.steps_per_epoch,
            trained_parameters=sum(tensor.numel() for tensor in trainable_weights(setup.network).values()),
            windows=len(setup.train_set),
            songs=tuple(setup.train_set.songs()),
            held_out_songs=tuple(setup.held_out.songs()),
        )
        start_tracking(setup.accelerator, setup.config, 0)
        self._log.rewind(0)
        self._forget_ladder()
        self._log.record(event)
        self._log.say(
            f"{setup.config.method} training of {setup.base.name}: {event.trained_parameters:,} parameters, "
            f"{counted(event.windows, 'window')} of {counted(len(event.songs), 'song')}, "
            f"{counted(event.total_steps, 'step')} on {setup.accelerator.device.type}."
        )
        if setup.parent:
            self._log.say(f"It goes on from the style {setup.parent.name} ({setup.parent.id}).")
        if event.held_out_songs:
            self._log.say(f"Held out to measure learning: {', '.join(event.held_out_songs)}.")
        for note in notes:
            self._log.say(note)

    def _forget_ladder(self) -> None:
        """Remove rungs and songs of an attempt that left no state behind."""
        if self._is_main:
            for path in (*map(self._folder.rung, self._folder.rung_steps()), self._folder.previews):
                shutil.rmtree(path, ignore_errors=True)

    def resume(self, progress: RunProgress) -> None:
        """Drop the events after the saved state."""
        start_tracking(self._setup.accelerator, self._setup.config, progress.step)
        self._log.rewind(progress.metrics_bytes)
        self._log.say(f"Resumed after step {progress.step} of {self._total_steps}.")

    def step(self, result: StepResult, progress: RunProgress, eta_sec: float, preview_eta_sec: float) -> StepEvent:
        event = StepEvent(
            step=progress.step,
            total_steps=self._total_steps,
            progress=round(100 * progress.step / self._total_steps, 2),
            epoch=result.epoch + 1,
            loss=result.loss.mean,
            per_codebook=result.loss.per_codebook,
            lr=result.lr,
            grad_norm=result.grad_norm if math.isfinite(result.grad_norm) else None,
            step_sec=round(result.seconds, 4),
            elapsed_sec=round(progress.elapsed_sec, 2),
            eta_sec=round(eta_sec, 1),
            preview_eta_sec=round(preview_eta_sec, 1),
        )
        self._log.record(event)
        track(self._setup.accelerator, event)
        self._log.say(
            f"Step {event.step}/{event.total_steps}, epoch {event.epoch}: loss {event.loss:.4f}, {eta_sec:.0f} s left."
        )
        return event

    def evaluation(self, loss: MeanLoss, progress: RunProgress) -> None:
        step, epoch = progress.step, self._setup.plan.epochs_done(progress.step)
        event = EvalEvent(step=step, epoch=epoch, loss=loss.mean, per_codebook=loss.per_codebook)
        self._log.record(event)
        track(self._setup.accelerator, event)
        self._log.say(f"Held-out loss after {counted(step, 'step')}, {counted(epoch, 'epoch')}: {loss.mean:.4f}.")

    def rung(self, event: RungEvent) -> None:
        self._log.record(event)
        kept = event.reason or f"The checkpoint is kept, {event.size_bytes:,} bytes."
        self._log.say(f"Step {event.step} to listen to: {kept}")

    def preview(self, event: PreviewEvent) -> None:
        self._log.record(event)

    def previews_skipped(self, event: PreviewsSkippedEvent) -> None:
        self._log.record(event)
        self._log.say(f"No songs were rendered after step {event.step}: {event.reason}")

    def figures(self, event: FiguresEvent, num_songs: int) -> None:
        self._log.record(event)
        self._log.say(f"{counted(num_songs, 'song')} rendered after step {event.step}, in {event.seconds:.0f} s.")

    def end(self, is_complete: bool, progress: RunProgress, notes: Sequence[str], alarm: str = "") -> None:
        """Say that all is saved. `notes`: on the outcome; `alarm`: why a complete run ended early."""
        make = partial(DoneEvent, alarm=alarm) if is_complete else StoppedEvent
        self._log.record(
            make(
                step=progress.step,
                initial_loss=progress.initial_loss,
                eval_loss=progress.eval_loss,
                best_loss=progress.best_loss,
                total_steps=self._total_steps,
                elapsed_sec=round(progress.elapsed_sec, 2),
            )
        )
        stop_tracking(self._setup.accelerator)
        status = "Completed" if is_complete else "Stopped"
        self._log.say(f"{status} after step {progress.step} of {self._total_steps}.")
        for note in notes:
            self._log.say(note)

    # --- states and checkpoints ------------------------------------------------------------------------------------

    def metrics_bytes(self) -> int:
        """Return the length of metrics.jsonl, all of it on disk."""
        return self._log.metrics_bytes()

    def save_state(self, progress: RunProgress) -> None:
        """Save what resuming needs. Raises NonFiniteLossError, having saved nothing, where weights are not finite."""
        require_finite_weights(self._setup.network, progress.step)
        state = gather_state(self._setup, progress)
        if self._is_main:
            save_state(self._folder.states, state)

    def save_rung(self, progress: RunProgress, figures: Figures) -> None:
        """Keep the checkpoint of a step. Raises as `save_state`."""
        self._save(self._folder.rung(progress.step), progress, figures)

    def save_checkpoint(self, name: CheckpointName, progress: RunProgress) -> None:
        """Replace a checkpoint. Raises as `save_state`."""
        self._save(self._folder.checkpoint(name), progress)

    def _save(self, folder: Path, progress: RunProgress, figures: Figures | None = None) -> None:
        require_finite_weights(self._setup.network, progress.step)
        weights = self._setup.gather_weights()
        if self._is_main:
            save_checkpoint(folder, self._setup, weights, progress, figures)
