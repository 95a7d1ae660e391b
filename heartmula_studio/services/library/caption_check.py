"""Finding tracks whose words are wrong: the base's own loss on each, before anything is trained."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from datasets import Dataset

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.control import stoppable
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.errors import ConflictError
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import make_example_set, read_tracks
from heartmula_studio.finetune.model_setup import load_base
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.services.tasks import RunningTask
from heartmula_studio.store.records import utc_now
from heartmula_studio.store.songs import stem_of
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import CheckTask
from heartmula_studio.store.views import TrackLoss

LOSS_DIGITS = 4


class CaptionCheck:
    """Measures one dataset at a time; on the device it takes the place of a song that is being made."""

    def __init__(self, store: Store, devices: Devices, runtime: Runtime):
        self._store, self._devices, self._runtime = store, devices, runtime

    @contextmanager
    def device_lease(self) -> Iterator[None]:
        """Mark the device as used in the block. Raises ConflictError where there is no room."""
        device = str(self._runtime.device)
        with ExitStack() as lease:
            with self._store.lock(QUEUE_LOCK):  # a job that starts in this moment would see the device as free
                if reason := self._devices.may_generate(device, self._runtime.base_name, utc_now()):
                    raise ConflictError(f"The tracks cannot be measured now. {reason}", "Try again when that is done.")
                lease.enter_context(self._devices.generating(device))
            yield

    def measure(self, dataset_id: str, tracks: Dataset, task: RunningTask[CheckTask]) -> Iterator[TrackLoss]:
        """Yield the base's loss on each of a dataset's `tracks`, as `as_hf_dataset` gives them, one by one.

        Raises CheckpointError, InvalidInputError for lyrics that leave no room for a track, OutOfMemoryError, and
        CancelledError within moments where the task is to stop.
        """
        filenames = {stem_of(file): file.filename for file in self._store.datasets.get(dataset_id).audio_files}
        with memory_explained():
            config = self._runtime.train_config("lora")  # as a training here would have the base in memory
            network = load_base(
                self._runtime.base, config.base_dtype, self._runtime.device, config.mixed_precision
            ).eval()
            with stoppable(network, task.is_cancelled):
                for song in tracks["song"]:
                    task.begin(filenames[song])
                    yield TrackLoss(filenames[song], self._loss(network, tracks, song))

    def _loss(self, network: HeartMuLa, tracks: Dataset, song: str) -> float:
        sizes = network.config
        layout, max_positions = PromptLayout.load(self._runtime.base), sizes.backbone_flavor.max_seq_len
        examples = make_example_set(read_tracks(tracks, {song}), layout, self._runtime.max_window_sec, max_positions)
        return round(mean_loss(network, examples, 1, sizes.audio_num_codebooks).mean, LOSS_DIGITS)
