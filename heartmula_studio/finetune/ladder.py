"""The ladder of a run: at set steps a checkpoint is kept, a rung, and songs are rendered with it to listen to.

Nothing here draws from the generators that training draws from, so that losses are the same without it.
"""

import dataclasses
import shutil
import time
from dataclasses import replace

import torch
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError

from heartmula_studio.errors import CancelledError, StudioError
from heartmula_studio.finetune.checkpoint_meta import CheckpointMeta
from heartmula_studio.finetune.evaluator import held_out_loss
from heartmula_studio.finetune.events import (
    FiguresEvent,
    PreviewEvent,
    PreviewsSkippedEvent,
    RungEvent,
    read_backwards,
    read_events,
)
from heartmula_studio.finetune.examples import with_other_captions
from heartmula_studio.finetune.figures import Figures, ListeningFigures, loss_figures
from heartmula_studio.finetune.model_setup import trainable_weights, unwrap_base
from heartmula_studio.finetune.previews import Listener, Preview
from heartmula_studio.finetune.run_folder import RunFolder, folder_bytes
from heartmula_studio.finetune.run_writer import RunWriter
from heartmula_studio.finetune.setup import Setup
from heartmula_studio.finetune.state import RunProgress
from heartmula_studio.finetune.stop import StopRequest

SPARE_BYTES = 10**9  # of the disk, left to the states that a run cannot do without
FULL = "A full fine-tune keeps no checkpoints to listen to along the way: each would be a whole model."


class Ladder:
    """The rungs of one run. `listener`: None where nobody renders songs."""

    def __init__(
        self, folder: RunFolder, setup: Setup, writer: RunWriter, stop: StopRequest, listener: Listener | None
    ):
        self._folder, self._setup, self._writer, self._stop = folder, setup, writer, stop
        self._is_main = setup.accelerator.is_main_process
        config = setup.config
        self.steps = config.rung_steps(setup.plan.total_steps)
        self.listener = listener if self.steps and config.preview_songs else None
        self.notes = (FULL,) if config.ladder_rungs and not self.steps else ()
        self._listen_sec = last_listen_sec(folder)
        max_positions = unwrap_base(setup.network).config.backbone_flavor.max_seq_len
        self._shuffled = with_other_captions(setup.held_out, setup.train_set.sample(), max_positions)

    def is_due(self, progress: RunProgress) -> bool:
        """Tell whether something is to be done after a step: at each rung and, for the base's songs, at the start."""
        is_rung = progress.step in self.steps or (progress.step == 0 and self.listener is not None)
        return is_rung and progress.rung_step != progress.step

    def num_evaluations_after(self, step: int) -> int:
        """Count the held-out losses that are measured for rungs alone."""
        return sum(rung > step and not self._setup.plan.is_evaluated(rung) for rung in self.steps)

    def preview_sec_after(self, step: int) -> float:
        """Estimate what rendering songs will take, from what it took last."""
        return self._listen_sec * sum(rung > step for rung in self.steps)

    def keep(self, progress: RunProgress) -> None:
        """Keep the checkpoint of this step, as far as the disk has room. Raises as `RunWriter.save_state`."""
        shuffled = held_out_loss(self._setup, progress.step, self._shuffled).mean if self._shuffled else None
        losses = loss_figures(read_events(self._folder.metrics), shuffled)
        [reason] = broadcast_object_list([self._lacks_room(progress.step)])
        if not reason:
            self._writer.save_rung(progress, Figures(**dataclasses.asdict(losses)))
        size = 0 if reason else folder_bytes(self._folder.rung(progress.step))
        self._writer.rung(RungEvent(step=progress.step, size_bytes=size, reason=reason))

    def listen(self, step: int) -> bool:
        """Have the songs of a rung rendered and judged, by the main process; False where it is asked to stop first."""
        is_done = self._listen(self.listener, step) if self.listener and self._is_main else True
        [is_done] = broadcast_object_list([is_done])
        return is_done

    def _listen(self, listener: Listener, step: int) -> bool:
        if step and not self._folder.rung(step).is_dir():  # there was no room for it
            return True
        started, device = time.perf_counter(), self._setup.accelerator.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                previews, figures = listener.listen(
                    self._folder, self._setup.config, step, engine_device(device), lambda: self._stop.is_requested
                )
        except CancelledError:
            return False
        except (StudioError, OSError, SafetensorError) as error:  # songs may be missing; training goes on
            self._writer.previews_skipped(PreviewsSkippedEvent(step=step, reason=str(error)))
            return True
        self._listen_sec = time.perf_counter() - started
        self._note(step, previews, figures)
        return True

    def _note(self, step: int, previews: tuple[Preview, ...], heard: ListeningFigures) -> None:
        """Write down what was heard: in the run's events and, of a rung, in its meta.json."""
        figures = Figures(**dataclasses.asdict(heard))
        if step:
            folder = self._folder.rung(step)
            meta = CheckpointMeta.read(folder)
            figures = replace(meta.figures or Figures(), **dataclasses.asdict(heard))
            replace(meta, figures=figures).write(folder)
        for preview in previews:
            values = dataclasses.asdict(preview)
            del values["max_sec"]
            self._writer.preview(PreviewEvent(step=step, **values))
        event = FiguresEvent(step=step, figures=dataclasses.asdict(figures), seconds=round(self._listen_sec, 2))
        self._writer.figures(event, len(previews))

    def _lacks_room(self, step: int) -> str:
        """Say why a rung cannot be kept; nothing where it can."""
        needed = sum(tensor.nbytes for tensor in trainable_weights(self._setup.network).values())
        others = [rung for rung in self._folder.rung_steps() if rung != step]
        taken = sum(folder_bytes(self._folder.rung(rung)) for rung in others)
        config = self._setup.config
        if taken + needed > config.ladder_max_bytes:
            return f"With it, those to listen to would take more than {config.ladder_max_gb:g} GB (ladder_max_gb)."
        if shutil.disk_usage(self._folder.path).free < needed + SPARE_BYTES:
            return "The disk has too little room for it."
        return ""


def engine_device(device: torch.device) -> str:
    """Return what an engine calls a device: with several processes, Accelerate counts CPUs too."""
    return device.type if device.type in ("cpu", "mps") else str(device)


def last_listen_sec(folder: RunFolder) -> float:
    """Read how long rendering and judging the songs of a rung took last; 0 where it never was."""
    return next((event.seconds for event in read_backwards(folder.metrics) if isinstance(event, FiguresEvent)), 0.0)
