"""The training loop, the same for one process and many: from examples to a trained checkpoint in one run folder."""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from heartmula_studio.finetune.agreement import in_every_process, require_alike
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.evaluator import held_out_loss
from heartmula_studio.finetune.events import StepEvent
from heartmula_studio.finetune.examples import notes_on
from heartmula_studio.finetune.ladder import Ladder
from heartmula_studio.finetune.loss_alarm import loss_alarm
from heartmula_studio.finetune.optimizer_step import take_step
from heartmula_studio.finetune.outcome import training_outcome
from heartmula_studio.finetune.previews import Listener
from heartmula_studio.finetune.recommendation import recommended_rung
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.run_writer import RunWriter
from heartmula_studio.finetune.setup import set_up
from heartmula_studio.finetune.state import RunProgress, load_state, restore_state
from heartmula_studio.finetune.stop import StopRequest

TIMED_STEPS = 32  # how many recent steps the time left is estimated from

OnStep = Callable[[StepEvent], None]


@dataclass(frozen=True)
class TrainResult:
    """Result of a run. Losses are means over the codebooks in nats, None where no song is held out.

    notes: what a person should know about the data and the outcome, a sentence or two each.
    """

    status: Literal["completed", "stopped"]
    step: int
    total_steps: int
    initial_loss: float | None
    eval_loss: float | None
    best_loss: float | None
    checkpoint: Path  # the recommended rung; without a ladder the best one, or the last where no song is held out
    notes: tuple[str, ...]


class Trainer:
    """One run. `setup` never changes, `progress` is what a saved state brings back.

    The state is saved every `state_every_steps` steps, at a stop and at the end; `checkpoints/best` whenever an
    evaluation is the best so far; `checkpoints/last` at a stop and at the end only.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: TrainConfig,
        log: RunLog,
        stop: StopRequest,
        on_step: OnStep | None,
        listener: Listener | None = None,
    ):
        self.folder, self.config, self.stop, self.on_step = folder, config, stop, on_step
        self.setup = set_up(folder, config)
        self.plan, self.accelerator = self.setup.plan, self.setup.accelerator
        self.writer = RunWriter(folder, self.setup, log)
        self.ladder = Ladder(folder, self.setup, self.writer, stop, listener)
        self.notes = (*notes_on(self.setup.train_set, self.setup.held_out), *self.ladder.notes)
        self.progress = RunProgress()
        self.saved: RunProgress | None = None  # the progress of the state on disk
        self.is_stopped = False
        self.step_secs: deque[float] = deque(maxlen=TIMED_STEPS)
        self.evaluation_sec = 0.0

    def run(self) -> TrainResult:
        """Train to the end, or until a stop is requested. Both leave a state and a checkpoint behind."""
        self._start_or_resume()
        self._evaluate_if_due()
        self._climb_if_due()
        while self.progress.step < self.plan.total_steps and not self.is_stopped and not self._alarm():
            self._train_step()
            if not self.is_stopped:
                self._evaluate_if_due()
                self._climb_if_due()
                self._save_state_if_due()
        if self.progress != self.saved:
            self.writer.save_checkpoint("last", self.progress)
            self._save_state()
        return self._finish()

    def _start_or_resume(self) -> None:
        self.writer.recover()
        state = in_every_process(lambda: load_state(self.folder.states))
        require_alike({"the saved state": state.progress.step if state else None})
        if state is None:
            self.writer.start(self.notes)
            return
        restore_state(self.setup, state)
        self.progress = self.saved = state.progress
        self.writer.resume(self.progress)

    def _train_step(self) -> None:
        result = take_step(self.setup, self.progress.step, self.stop.is_requested)
        self.step_secs.append(result.seconds)
        self.progress = self.progress.after_step(result.loss.mean, result.seconds)
        preview_sec = self.ladder.preview_sec_after(self.progress.step)
        event = self.writer.step(result, self.progress, self._eta_sec() + preview_sec, preview_sec)
        if self.on_step is not None and self.accelerator.is_main_process:
            self.on_step(event)
        self.is_stopped = result.stop_requested

    def _evaluate_if_due(self) -> None:
        """Measure the held-out loss at the start, each rung, epoch and the end, and save the best checkpoint."""
        step, best_before = self.progress.step, self.progress.best_loss
        is_due = self.plan.is_evaluated(step) or step in self.ladder.steps
        if not is_due or self.progress.evaluated_step == step:
            return
        started = time.perf_counter()
        if self.setup.held_out:
            loss = held_out_loss(self.setup, step)
            self.writer.evaluation(loss, self.progress)
            self.progress = self.progress.with_held_out_loss(loss.mean)
        self.progress = self.progress.after_evaluation(time.perf_counter() - started)
        if self.progress.best_loss != best_before:
            self.writer.save_checkpoint("best", self.progress)
        self.evaluation_sec = time.perf_counter() - started

    def _climb_if_due(self) -> None:
        """Keep a rung and have it listened to; the state is saved before, so that a kill costs songs, not steps."""
        if self.is_stopped or not self.ladder.is_due(self.progress):
            return
        started = time.perf_counter()
        if self.progress.step:
            if self.ladder.listener:
                self._save_state()
            self.ladder.keep(self.progress)
        if self.ladder.listen(self.progress.step):
            self.progress = self.progress.after_rung(time.perf_counter() - started)
        else:
            self.is_stopped = True

    def _save_state_if_due(self) -> None:
        step = self.progress.step
        if step % self.config.state_every_steps == 0 and step < self.plan.total_steps:
            self._save_state()

    def _save_state(self) -> None:
        self.progress = self.saved = replace(self.progress, metrics_bytes=self.writer.metrics_bytes())
        self.writer.save_state(self.progress)

    def _alarm(self) -> str:
        progress = self.progress
        return loss_alarm(self.config.loss_alarm, progress.initial_loss, progress.best_loss, progress.eval_loss)

    def _eta_sec(self) -> float:
        """Estimate the time left, without songs to listen to."""
        step = self.progress.step
        training_sec = (self.plan.total_steps - step) * statistics.median(self.step_secs)
        evaluations = self.plan.num_evaluations_after(step) + self.ladder.num_evaluations_after(step)
        return training_sec + evaluations * self.evaluation_sec

    def _finish(self) -> TrainResult:
        progress, total_steps = self.progress, self.plan.total_steps
        recommended = recommended_rung(self.folder)
        learnt = training_outcome(progress.initial_loss, progress.best_loss, progress.step, total_steps, recommended)
        # That nothing was held out was said as it began.
        is_news = learnt.learned is False or learnt.is_audible is not None
        alarm, verdict = ("", "") if self.is_stopped else (self._alarm(), learnt.message if is_news else "")
        outcome_notes = tuple(filter(None, (alarm, verdict)))
        self.writer.end(not self.is_stopped, progress, outcome_notes, alarm)
        if self.is_stopped and self.accelerator.is_main_process:
            self.stop.acknowledge()
        self.accelerator.wait_for_everyone()
        return TrainResult(
            status="stopped" if self.is_stopped else "completed",
            step=progress.step,
            total_steps=total_steps,
            initial_loss=progress.initial_loss,
            eval_loss=progress.eval_loss,
            best_loss=progress.best_loss,
            checkpoint=self.folder.chosen_checkpoint(recommended.step if recommended else None),
            notes=(*self.notes, *outcome_notes),
        )
