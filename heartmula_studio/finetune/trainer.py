"""The training loop: from examples to metrics, saved states and checkpoints in one job folder.

The loop is the same for one process and many. Gradients are divided by the frame counts of the whole step, which
every process knows beforehand, so a step's gradient does not depend on how its examples were shared out.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from heartmula_studio.errors import NonFiniteLossError
from heartmula_studio.finetune.adam8bit import Adam8bit
from heartmula_studio.finetune.agreement import in_every_process, require_alike
from heartmula_studio.finetune.batches import draw_batch
from heartmula_studio.finetune.checkpointing import (
    checkpoint_meta,
    recover_checkpoints,
    require_finite_weights,
    save_checkpoint,
)
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import StepPlan, frame_counts, torch_seed
from heartmula_studio.finetune.evaluate import MeanLoss, batch_loss, mean_loss, sum_losses
from heartmula_studio.finetune.examples import notes_on
from heartmula_studio.finetune.model_setup import restore_weights, trainable_weights
from heartmula_studio.finetune.outcome import training_outcome
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.schedule import learning_rate
from heartmula_studio.finetune.setup import set_up
from heartmula_studio.finetune.sharding import gather_full, load_optimizer_state, optimizer_state
from heartmula_studio.finetune.state import (
    RunProgress,
    RunState,
    check_identity,
    load_state,
    recover_states,
    save_state,
)
from heartmula_studio.finetune.stop import StopRequest

TIMED_STEPS = 32  # how many recent steps the time left is estimated from
LOWEST_LOSS_SCALE = 1.0  # fp16 gradients that overflow even at this scale are broken, not badly scaled
NON_FINITE_HINT = "Lower learning_rate, or use mixed_precision no or bf16. What was saved before is untouched."

OnStep = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainResult:
    """How a run ended. Losses are means over the codebooks in nats, None where no song is held out.

    notes: what a person should know about the data and the outcome, a sentence or two each.
    """

    status: Literal["completed", "stopped"]
    step: int
    total_steps: int
    initial_loss: float | None
    eval_loss: float | None
    best_loss: float | None
    checkpoint: Path  # the best one, or the last where no song is held out
    notes: tuple[str, ...]


class Trainer:
    """One run. `setup` never changes, `progress` is what a saved state brings back.

    The state is saved every `state_every_steps` steps, at a stop and at the end; `checkpoints/best` whenever an
    evaluation is the best so far; `checkpoints/last` at a stop and at the end only.
    """

    def __init__(self, job_dir: Path, config: TrainConfig, log: RunLog, stop: StopRequest, on_step: OnStep | None):
        self.job_dir, self.config, self.log, self.stop, self.on_step = job_dir, config, log, stop, on_step
        self.setup = set_up(job_dir, config)
        self.plan, self.accelerator = self.setup.plan, self.setup.accelerator
        self.progress = RunProgress()
        self.saved: RunProgress | None = None  # the progress of the state on disk
        self.notes = notes_on(self.setup.train_set, self.setup.held_out)
        self.step_secs: deque[float] = deque(maxlen=TIMED_STEPS)
        self.evaluation_sec = 0.0

    def run(self) -> TrainResult:
        """Train to the end, or until a stop is requested. Both leave a state and a checkpoint behind."""
        self._start_or_resume()
        self._evaluate_if_due()
        stopped = False
        while self.progress.step < self.plan.total_steps and not stopped:
            stopped = self._train_step()
            if not stopped:
                self._evaluate_if_due()
                self._save_state_if_due()
        if self.progress != self.saved:
            self._save_checkpoint("last")
            self._save_state()
        return self._finish(stopped)

    def _start_or_resume(self) -> None:
        if self.accelerator.is_main_process:
            recover_checkpoints(self.job_dir / "checkpoints")
            recover_states(self.job_dir / "state")
        self.accelerator.wait_for_everyone()
        state = in_every_process(lambda: load_state(self.job_dir / "state"))
        require_alike({"the saved state": state.progress.step if state else None})
        if state is None:
            self.log.rewind(0)
            self._announce()
            return
        check_identity(state.identity, self.setup.identity)
        restore_weights(self.setup.network, state.weights)
        load_optimizer_state(self.setup.optimizer, state.optimizer["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.optimizer["scaler"])
        self.progress = self.saved = state.progress
        self.log.rewind(state.progress.metrics_bytes)
        self.log.say(f"Resumed after step {state.progress.step} of {self.plan.total_steps}.")

    def _announce(self) -> None:
        setup, songs, held_out_songs = self.setup, self.setup.train_set.songs(), self.setup.held_out.songs()
        trained = sum(tensor.numel() for tensor in trainable_weights(setup.network).values())
        self.log.record(
            "start",
            step=0,
            total_steps=self.plan.total_steps,
            steps_per_epoch=self.plan.steps_per_epoch,
            trained_parameters=trained,
            windows=len(setup.train_set),
            songs=songs,
            held_out_songs=held_out_songs,
        )
        self.log.say(
            f"{self.config.method} training of {setup.base.name}: {trained:,} parameters, {len(setup.train_set)} "
            f"windows of {len(songs)} songs, {self.plan.total_steps} steps on {self.accelerator.device.type}."
        )
        if held_out_songs:
            self.log.say(f"Held out to measure learning: {', '.join(held_out_songs)}.")
        for note in self.notes:
            self.log.say(note)

    # --- one step --------------------------------------------------------------------------------------------------

    def _train_step(self) -> bool:
        """Run one optimizer step on all processes; return whether any of them was asked to stop."""
        started = time.perf_counter()
        plan = self.plan.step(self.progress.step)
        num_targets = [self.setup.train_set.num_targets(i) for i in plan.examples]
        counts = torch.tensor(
            frame_counts(num_targets, self.config.depth_frame_fraction, self.setup.num_codebooks),
            device=self.accelerator.device,
        )
        sums = self._accumulate_gradients(plan, counts)
        stop_vote = sums.new_tensor([float(self.stop.is_requested)])
        totals = self.accelerator.reduce(torch.cat([sums, stop_vote]), "sum")
        loss = MeanLoss.of(totals[:-1] / counts)
        if not math.isfinite(loss.loss):
            raise self._non_finite("loss", plan)
        rate = learning_rate(
            self.progress.step,
            self.plan.total_steps,
            self.config.learning_rate,
            self.config.schedule,
            self.config.warmup_ratio,
        )
        grad_norm = self._update_weights(rate, plan)
        self._report_step(plan, loss, rate, grad_norm, time.perf_counter() - started)
        return totals[-1].item() > 0

    def _accumulate_gradients(self, plan: StepPlan, counts: Tensor) -> Tensor:
        """Add up this process's gradients of one step; return its loss sums [K]."""
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        micro_steps = plan.num_micro_steps(processes, self.config.batch_size)
        sums = torch.zeros(self.setup.num_codebooks, device=self.accelerator.device)
        for micro_step in range(micro_steps):
            share = plan.share(micro_step, process, processes, self.config.batch_size)
            torch.manual_seed(torch_seed(self.config.seed, self.progress.step, micro_step * processes + process))
            # Synchronising gradients needs all processes: one without a share runs an example that weighs nothing.
            batch, depth_frames = draw_batch(
                self.setup.train_set, share or plan.examples[:1], plan.epoch, self.config, self.accelerator.device
            )
            weight = 1.0 if share else 0.0
            is_last = micro_step == micro_steps - 1
            # Until they are synchronised, the gradients of a sharded network are whole in every process.
            is_synchronised = is_last or self.accelerator.is_fsdp2
            with nullcontext() if is_synchronised else self.accelerator.no_sync(self.setup.model):
                parts = batch_loss(self.setup.model, batch, depth_frames)
                # Gradients are averaged over the processes, hence the factor.
                self.accelerator.backward(parts.total(counts) * (weight * processes))
            sums += parts.sums.detach() * weight
        return sums

    def _update_weights(self, rate: float, plan: StepPlan) -> float:
        """Clip and apply the gradients; return their norm before clipping."""
        optimizer, scaler = self.setup.optimizer, self.accelerator.scaler
        for group in optimizer.param_groups:
            group["lr"] = rate
        grad_norm = self._clip_gradients()
        # An fp16 gradient may overflow: the scaler then skips the step and lowers its scale.
        may_overflow = scaler is not None and scaler.get_scale() > LOWEST_LOSS_SCALE
        if not math.isfinite(grad_norm) and not may_overflow:
            raise self._non_finite("gradient", plan)
        optimizer.step()
        optimizer.zero_grad()
        return grad_norm

    def _clip_gradients(self) -> float:
        """Scale the gradients down to `max_grad_norm` where they are larger; return their norm before."""
        optimizer = self.setup.optimizer.optimizer
        if isinstance(optimizer, Adam8bit):
            return optimizer.gradients.clip(self.config.max_grad_norm)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        return float(self.accelerator.clip_grad_norm_(parameters, self.config.max_grad_norm))

    def _non_finite(self, what: str, plan: StepPlan) -> NonFiniteLossError:
        """Make the error that names the songs whose own loss is not finite, else all of the step's."""
        train_set, network = self.setup.train_set, self.setup.network
        losses = {i: mean_loss(network, [train_set[i]], 1, self.setup.num_codebooks).loss for i in plan.examples}
        culprits = [i for i, loss in losses.items() if not math.isfinite(loss)] or plan.examples
        songs = sorted({train_set.windows[i].song for i in culprits})
        return NonFiniteLossError(
            f"The {what} is not finite at step {self.progress.step + 1}, on {', '.join(songs)}.", NON_FINITE_HINT
        )

    def _report_step(self, plan: StepPlan, loss: MeanLoss, rate: float, grad_norm: float, step_sec: float) -> None:
        self.step_secs.append(step_sec)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            train_loss=loss.loss,
            elapsed_sec=self.progress.elapsed_sec + step_sec,
        )
        step, total, eta_sec = self.progress.step, self.plan.total_steps, self._eta_sec()
        line = self.log.record(
            "step",
            step=step,
            total_steps=total,
            progress=round(100 * step / total, 2),
            epoch=plan.epoch + 1,
            **asdict(loss),
            lr=rate,
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,
            step_sec=round(step_sec, 4),
            elapsed_sec=round(self.progress.elapsed_sec, 2),
            eta_sec=round(eta_sec, 1),
        )
        self.log.say(f"Step {step}/{total}, epoch {plan.epoch + 1}: loss {loss.loss:.4f}, {eta_sec:.0f} s left.")
        if self.on_step is not None and self.accelerator.is_main_process:
            self.on_step(line)

    def _eta_sec(self) -> float:
        step = self.progress.step
        training_sec = (self.plan.total_steps - step) * statistics.median(self.step_secs)
        return training_sec + self.plan.num_evaluations_after(step) * self.evaluation_sec

    # --- evaluation ------------------------------------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        """Measure the held-out loss at the start, after each epoch and at the end, and save the best checkpoint."""
        step = self.progress.step
        if not self.plan.is_evaluated(step) or self.progress.evaluated_step == step:
            return
        started = time.perf_counter()
        improved = self._evaluate() if len(self.setup.held_out) else False
        elapsed_sec = self.progress.elapsed_sec + time.perf_counter() - started
        self.progress = replace(self.progress, evaluated_step=step, elapsed_sec=elapsed_sec)
        if improved:
            self._save_checkpoint("best")
        self.evaluation_sec = time.perf_counter() - started

    def _evaluate(self) -> bool:
        """Measure and record the held-out loss; return whether it is the best of the run so far."""
        step, epoch = self.progress.step, self.plan.epochs_done(self.progress.step)
        loss = self._held_out_loss()
        if not math.isfinite(loss.loss):
            songs = ", ".join(self.setup.held_out.songs())
            raise NonFiniteLossError(f"The held-out loss is not finite after step {step}, on {songs}.", NON_FINITE_HINT)
        self.log.record("eval", step=step, epoch=epoch, split="held_out", **asdict(loss))
        self.log.say(f"Held-out loss after {step} steps, {epoch} epochs: {loss.loss:.4f}.")
        self.progress = replace(self.progress, eval_loss=loss.loss)
        if step == 0:
            self.progress = replace(self.progress, initial_loss=loss.loss)
            return False
        improved = self.progress.best_loss is None or loss.loss < self.progress.best_loss
        if improved:
            self.progress = replace(self.progress, best_loss=loss.loss)
        return improved

    def _held_out_loss(self) -> MeanLoss:
        held_out, size, num_codebooks = self.setup.held_out, self.config.batch_size, self.setup.num_codebooks
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        plan = StepPlan(epoch=0, examples=tuple(range(len(held_out))))
        totals = torch.zeros(2, num_codebooks, device=self.accelerator.device)
        for micro_step in range(plan.num_micro_steps(processes, size)):
            share = plan.share(micro_step, process, processes, size)
            # A sharded network runs in all processes or in none.
            examples = [held_out[i] for i in share or plan.examples[:1]]
            totals += sum_losses(self.setup.network, examples, size, num_codebooks) * bool(share)
        sums, counts = self.accelerator.reduce(totals, "sum")
        return MeanLoss.of(sums / counts)

    # --- saving ----------------------------------------------------------------------------------------------------

    def _save_state_if_due(self) -> None:
        step = self.progress.step
        if step % self.config.state_every_steps == 0 and step < self.plan.total_steps:
            self._save_state()

    def _save_state(self) -> None:
        require_finite_weights(self.setup.network, self.progress.step)
        self.progress = self.saved = replace(self.progress, metrics_bytes=self.log.metrics_bytes())
        is_main = self.accelerator.is_main_process
        optimizer = {"optimizer": optimizer_state(self.setup.optimizer, keep=is_main)}
        if self.accelerator.scaler is not None:
            optimizer["scaler"] = self.accelerator.scaler.state_dict()
        state = RunState(self.progress, self._gathered_weights(), optimizer, self.setup.identity)
        if is_main:
            save_state(self.job_dir / "state", state)

    def _save_checkpoint(self, name: str) -> None:
        require_finite_weights(self.setup.network, self.progress.step)
        weights = self._gathered_weights()
        if self.accelerator.is_main_process:
            meta = checkpoint_meta(self.setup, self.config, self.progress)
            folder = self.job_dir / "checkpoints" / name
            save_checkpoint(folder, self.setup.network, weights, meta, self.config.checkpoint_dtype)

    def _gathered_weights(self) -> dict[str, Tensor]:
        """Return what is trained, full_tensor, on the main process; nothing on the others."""
        return gather_full(trainable_weights(self.setup.network), keep=self.accelerator.is_main_process)

    def _finish(self, stopped: bool) -> TrainResult:
        progress = self.progress
        outcome = {name: getattr(progress, name) for name in ("step", "initial_loss", "eval_loss", "best_loss")}
        outcome["total_steps"] = self.plan.total_steps
        self.log.record("stopped" if stopped else "done", **outcome, elapsed_sec=round(progress.elapsed_sec, 2))
        status = "stopped" if stopped else "completed"
        self.log.say(f"{status.capitalize()} after step {progress.step} of {self.plan.total_steps}.")
        if stopped and self.accelerator.is_main_process:
            self.stop.acknowledge()
        self.accelerator.wait_for_everyone()
        notes = self.notes
        learnt = training_outcome(progress.initial_loss, progress.best_loss, progress.step, self.plan.total_steps)
        if not stopped and learnt.learned is False:  # that nothing was held out was said as it began
            notes = (*notes, learnt.message)
            self.log.say(learnt.message)
        best = self.job_dir / "checkpoints" / "best"
        checkpoint = best if progress.best_loss is not None else best.with_name("last")
        return TrainResult(status, **outcome, checkpoint=checkpoint, notes=notes)
