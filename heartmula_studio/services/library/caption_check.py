"""Finding tracks whose words are wrong: the base's own loss on each, before anything is trained."""

import threading
from contextlib import ExitStack

from datasets import Dataset

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.control import check_cancelled
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.errors import ConflictError
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import make_example_set, read_tracks
from heartmula_studio.finetune.model_setup import load_base
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.store.records import utc_now
from heartmula_studio.store.songs import stem_of
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import TrackLoss

LOSS_DIGITS = 4


class CaptionCheck:
    """Measures one dataset at a time; on the device it takes the place of a song that is being made."""

    def __init__(self, store: Store, devices: Devices, runtime: Runtime, closing: threading.Event):
        """Once `closing` is set, it stops after the track at hand."""
        self._store, self._devices, self._runtime, self._closing = store, devices, runtime, closing
        self._exclusive = threading.Lock()

    def measure(self, dataset_id: str, tracks: Dataset) -> list[TrackLoss]:
        """Return the base's loss on each of a dataset's `tracks`, as `as_hf_dataset` gives them; the highest first.

        Raises CheckpointError, InvalidInputError for lyrics that leave no room for a track, OutOfMemoryError,
        CancelledError when it closes, and ConflictError while the device has no room.
        """
        filenames = {stem_of(file): file.filename for file in self._store.datasets.get(dataset_id).audio_files}
        with self._exclusive, ExitStack() as device_lease, memory_explained():
            self._take_device(device_lease)
            config = self._runtime.train_config("lora")  # as a training here would have the base in memory
            network = load_base(
                self._runtime.base, config.base_dtype, self._runtime.device, config.mixed_precision
            ).eval()
            found = [TrackLoss(filenames[song], self._loss(network, tracks, song)) for song in tracks["song"]]
        return sorted(found, key=lambda track: -track.loss)

    def _loss(self, network: HeartMuLa, tracks: Dataset, song: str) -> float:
        check_cancelled(self._closing.is_set)
        sizes = network.config
        layout, max_positions = PromptLayout.load(self._runtime.base), sizes.backbone_flavor.max_seq_len
        examples = make_example_set(read_tracks(tracks, {song}), layout, self._runtime.max_window_sec, max_positions)
        return round(mean_loss(network, examples, 1, sizes.audio_num_codebooks).mean, LOSS_DIGITS)

    def _take_device(self, device_lease: ExitStack) -> None:
        """Mark the device as used until `device_lease` ends. Raises ConflictError where there is no room."""
        device = str(self._runtime.device)
        with self._store.lock(QUEUE_LOCK):  # a job that starts in this moment would see the device as free
            if reason := self._devices.may_generate(device, self._runtime.base_name, utc_now()):
                raise ConflictError(f"The tracks cannot be measured now. {reason}", "Try again when that is done.")
            device_lease.enter_context(self._devices.generating(device))
