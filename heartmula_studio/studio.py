"""The Studio: the datasets, jobs with their rungs, checkpoints, songs and tags of one installation.

REST, page, `gradio_client` and shell are thin over it, so that a button and an endpoint cannot drift apart.
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio import __version__
from heartmula_studio.errors import StudioError
from heartmula_studio.files.loading import loading
from heartmula_studio.files.public_text import hide_folder
from heartmula_studio.services.derived import Derived
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.catalogues import Catalogues
from heartmula_studio.services.library.checkpoints import CheckpointService
from heartmula_studio.services.library.checks import CheckService
from heartmula_studio.services.library.datasets import DatasetService
from heartmula_studio.services.library.hub_service import HubService
from heartmula_studio.services.library.imports import ImportService
from heartmula_studio.services.library.models import ModelService
from heartmula_studio.services.library.tags import TagService
from heartmula_studio.services.planning.service import PlanningService
from heartmula_studio.services.songs.local_engine import LocalEngine
from heartmula_studio.services.songs.replicas.engine import replicas_of
from heartmula_studio.services.songs.service import SongService
from heartmula_studio.services.surroundings import Surroundings
from heartmula_studio.services.training.auditions import AuditionService
from heartmula_studio.services.training.ladder import LadderService
from heartmula_studio.services.training.local_executor import LocalExecutor
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.services.training.ray_cluster.executor import cluster_of
from heartmula_studio.settings import Settings, forgets_data
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Health

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.active_engine import ActiveEngine
    from heartmula_studio.services.songs.song_styles import SongStyles

FORGOTTEN = (
    "This Space has no persistent storage: songs, trainings and styles go with its next restart. Download what is to "
    "stay, or add storage in the Space's settings."
)
_log = logging.getLogger(__name__)
found_log = logging.getLogger("heartmula_studio.found")  # what the server prints at its start


class Studio:
    """Everything that a person can do, by what it is about: `datasets`, `imports`, `jobs` and so on.

    What needs torch is loaded by the first call that needs it, or by `warm_up`.
    """

    def __init__(self, settings: Settings, store: Store):
        """Nothing runs yet; `open` starts what works in the background."""
        self.settings, self.store = settings, store
        for folder in (settings.official_dir, Path(settings.base_model), settings.catalogues_dir):
            if folder:
                hide_folder(folder)
        devices, self._device = Devices(store), settings.device
        self._runtime = Lazy(self._find_runtime)
        self._warming, self._is_warm = threading.Lock(), False
        self._found: Surroundings | None = None
        self._of_runtime = Derived(Surroundings.of)
        styles = Lazy(self._make_styles)
        local = LocalExecutor(devices, settings.max_song_sec, settings.accelerate_config)
        self.catalogues = Catalogues(settings.catalogues_dir)
        self.jobs = JobQueue(
            store, self._runtime, local, cluster_of(settings), max_jobs_per_user=settings.max_jobs_per_user,
            catalogues=self.catalogues,
        )  # fmt: skip
        self.datasets = DatasetService(store, settings, devices, self._runtime, self.jobs)
        self.checks = CheckService(store, devices, self._runtime, self.datasets.exchange)
        self.imports = ImportService(store, settings.max_import_bytes, self.datasets.exchange)
        self.checkpoints = CheckpointService(store, self._runtime, styles)
        engine = replicas_of(settings, self._runtime, styles) or self._make_local_engine(devices, styles)
        self.songs = SongService(
            store, self._runtime, styles, engine, settings.idle_engine_sec, settings.max_songs_per_user
        )
        self.ladder = LadderService(store, self.checkpoints, self.songs)
        self.auditions = AuditionService(store, self.ladder)
        self.hub = HubService(store, self._runtime, self.datasets.exchange, self.imports)
        self.tags = TagService(store)
        self.models = ModelService(store, settings, self._choose_base_again)
        self.planning = PlanningService(store, self._runtime, settings.accelerate_config)

    @classmethod
    def open(cls, settings: Settings) -> "Studio":
        """Open the data folder, put right what a crash left, and go on with what was waiting.

        Songs that wait for a server go on after `begin`. Raises StorageError.
        """
        store = Store(settings.data_dir, settings.max_upload_bytes, settings.max_files)
        store.recover()
        studio = cls(settings, store)
        studio.jobs.open()
        studio.songs.open()
        return studio

    def begin(self) -> None:
        """Take over what servers that are gone have left, and find what songs are made with, in the background.

        What needs torch for that is loaded only where it must be.
        """
        threading.Thread(target=self._begin, name="recovery", daemon=True).start()

    def warm_up(self) -> None:
        """Load what needs torch in the background, once; what is wrong with it is said again when it is needed.

        To be called as soon as somebody may need it: it takes seconds, and several hundred MiB.
        """
        with self._warming:
            if not self._is_warm:
                self._is_warm = True
                threading.Thread(target=self._load, name="loading", daemon=True).start()

    def close(self) -> None:
        """Stop what runs in this process; training goes on in its own."""
        self.checks.close()
        self.datasets.close()
        self.imports.close()
        self.models.close()
        self.songs.close()
        self.jobs.close()

    @property
    def base_reason(self) -> str:
        """Why this base is used; empty until that is known."""
        return found.base_reason if (found := self._surroundings()) else ""

    def health(self) -> Health:
        active = self.checkpoints.find_active()
        running = self.jobs.find_running()
        device, base = self.settings.device, self.settings.base_model
        note, reason = "", ""
        data_note = FORGOTTEN if forgets_data(self.settings.data_dir) else ""
        if found := self._surroundings():
            device, base, note, reason = found.device, found.base, found.note, found.base_reason
        return Health(__version__, device, base, active and active[0], running, reason, note, data_note)

    def _begin(self) -> None:
        try:
            self.datasets.recover()
            self.songs.recover()
        except StudioError as error:
            _log.error("What another server has left is not taken over: %s", error)
        self._find_out()

    def _find_out(self) -> None:
        """Find what songs are made with; PyTorch is loaded only where that takes it."""
        self._found = Surroundings.without_torch(self.settings)
        if self._found:
            self._say_what_is_used(self._found)
        else:
            self.warm_up()

    def _load(self) -> None:
        try:
            found = Surroundings.of(self._runtime.get())
            if found != self._found:
                self._say_what_is_used(found)
        except StudioError as error:
            _log.error("The base model cannot be used: %s", error)

    def _surroundings(self) -> Surroundings | None:
        """What is used, if that is known by now."""
        runtime = self._runtime.made
        return self._of_runtime.of(runtime) if runtime else self._found

    def _say_what_is_used(self, found: Surroundings) -> None:
        for line in found.lines():
            found_log.info("%s", line)

    def _choose_base_again(self) -> None:
        """Use another base from now on where the official model has come or is gone; what is being made ends first."""
        try:
            if self._runtime.made is None:
                self._find_out()
            elif self._runtime.renew():
                self._say_what_is_used(Surroundings.of(self._runtime.get()))
        except StudioError as error:
            _log.error("The base model cannot be used: %s", error)

    def _find_runtime(self) -> "Runtime":
        """Raises CheckpointMissingError without the base model, InvalidInputError for a device that is not there."""
        with loading():
            from heartmula_studio.generate.runtime import Runtime

        # Where several devices are alike, the one with the most free memory is taken, once.
        runtime = Runtime.of(self.settings, device=self._device)
        self._device = str(runtime.device)
        return runtime

    def _make_styles(self) -> "SongStyles":
        from heartmula_studio.services.songs.song_styles import SongStyles

        return SongStyles(self.store, self._runtime)

    def _make_local_engine(self, devices: Devices, styles: "Lazy[SongStyles]") -> LocalEngine:
        def active_engine() -> "ActiveEngine":
            from heartmula_studio.services.songs.active_engine import ActiveEngine

            return ActiveEngine(self._runtime, styles.get())

        return LocalEngine(self.store, devices, self._runtime, Lazy(active_engine))
