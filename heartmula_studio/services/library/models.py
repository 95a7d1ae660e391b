"""The official models: what is here of each; downloading, verifying and removing it, in threads of the server."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from heartmula_studio.arch.official import OFFICIAL_MODELS, OfficialModel
from heartmula_studio.errors import CancelledError, ConflictError, HubError, NotFoundError, StorageError, StudioError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.library.model_folder import ModelFolder
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import Failure
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import ModelState, ModelStatus

NEXT_STEP = {
    "absent": "",
    "incomplete": "Download it again: it goes on where it ended.",
    "downloading": "",
    "verifying": "",
}
_log = logging.getLogger(__name__)


class ModelService:
    """Any thread may call any method. Two servers of one data folder never write one model at once."""

    def __init__(self, store: Store, settings: Settings, changed: Callable[[], None] = lambda: None):
        """`changed` is called when a model has come, is found damaged, or is gone."""
        self._store, self._changed = store, changed
        self._folders = {model.name: ModelFolder(model, settings.official_dir) for model in OFFICIAL_MODELS}
        self._working: dict[str, ModelStatus] = {}
        self._errors: dict[str, Failure | None] = {}
        self._closing = threading.Event()
        self._threads_lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def get(self, name: str) -> ModelState:
        """Raises NotFoundError for an unknown model. A damaged list of its files is its `error`."""
        folder, error = self._folder(name), self._errors.get(name)
        try:
            plan, status = folder.read_plan(), self._status(name, folder)
        except StorageError as damage:
            plan, status, error = None, "incomplete", Failure(damage.code, damage.message, damage.hint)
        size_bytes = plan.size_bytes if plan else folder.model.size_bytes
        done_bytes = folder.done_bytes(plan) if plan else 0
        if status == "absent" and was_put_there(folder.model, folder.root):
            status, done_bytes = "complete", size_bytes
        return ModelState(
            name=name,
            title=folder.model.title,
            licence=folder.model.licence,
            status=status,
            size_bytes=size_bytes,
            done_bytes=done_bytes,
            free_disk_bytes=folder.free_bytes(),
            message=folder.model.use if status == "complete" else NEXT_STEP[status],
            error=error,
        )

    def download(self, name: str) -> ModelState:
        """Begin a download, or go on with one.

        Raises NotFoundError, ConflictError while the model is being worked on, as `hub_errors` where the Hub does not
        say what there is, StorageError where the disk cannot take it.
        """
        folder = self._folder(name)
        return self._start(name, "downloading", lambda: self._download(folder))

    def verify(self, name: str) -> ModelState:
        """Begin to hash all files; those that are damaged are removed, to be downloaded again. Raises as `download`."""
        folder = self._folder(name)
        if folder.read_plan() is None:
            raise NotFoundError(f"{name} has not been downloaded here.", "Download it first.")
        return self._start(name, "verifying", lambda: self._verify(folder))

    def cancel(self, name: str) -> ModelState:
        """Stop within moments; what has come stays. Raises NotFoundError, ConflictError where nothing is going on."""
        folder = self._folder(name)
        if self._status(name, folder) not in ("downloading", "verifying"):
            raise ConflictError(f"{name} is not being downloaded.", "Only a running download can be stopped.")
        with disk_explained(folder.cancel):
            folder.cancel.touch()
        return self.get(name)

    def remove(self, name: str) -> None:
        """Remove all that was downloaded. Raises NotFoundError, ConflictError while it is worked on, StorageError."""
        folder = self._folder(name)
        with ExitStack() as lock:
            self._lock(name, lock)
            folder.remove()
            self._errors.pop(name, None)
        self._changed()

    def download_here(self, name: str, watch: Callable[[int, int], None]) -> ModelState:
        """Download in this thread; `watch` is told how many bytes there are, and of how many. Raises as `download`."""
        folder = self._folder(name)
        with ExitStack() as lock:
            self._lock(name, lock)
            plan = folder.make_plan()
            done = folder.done_bytes(plan)

            def count(num_bytes: int) -> None:
                nonlocal done
                done += num_bytes
                watch(done, plan.size_bytes)

            folder.download(plan, count)
        return self.get(name)

    def verify_here(self, name: str) -> list[str]:
        """Verify in this thread; return the names of damaged files, which are removed. Raises as `verify`."""
        folder = self._folder(name)
        with ExitStack() as lock:
            self._lock(name, lock)
            return folder.verify()

    def close(self) -> None:
        """Stop what is going on; what has come stays."""
        self._closing.set()
        with self._threads_lock:
            threads = self._threads
        for thread in threads:
            thread.join()

    def _start(self, name: str, status: ModelStatus, prepare: Callable[[], Callable[[], None]]) -> ModelState:
        """Do what may be refused at once, then have a thread do the rest under the model's lock."""
        refused: list[BaseException] = []
        is_begun = threading.Event()

        def run() -> None:
            try:
                with ExitStack() as lock:
                    self._lock(name, lock)
                    work = prepare()
                    self._working[name], self._errors[name] = status, None
                    is_begun.set()
                    self._work(name, work)
            except BaseException as error:
                refused.append(error)
            finally:
                is_begun.set()

        thread = threading.Thread(target=run, name=f"{status} {name}", daemon=True)
        with self._threads_lock:  # `close` waits for threads, and only one that has started can be waited for
            thread.start()
            self._threads = [thread, *(other for other in self._threads if other.is_alive())]
        is_begun.wait()
        if refused:
            raise refused[0]
        return self.get(name)

    def _work(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except CancelledError:
            _log.info("The download of %s was stopped.", name)
        except StudioError as error:
            self._errors[name] = Failure(error.code, error.message, error.hint)
        except Exception as error:
            _log.exception("The download of %s failed", name)
            self._errors[name] = Failure("studio", f"{type(error).__name__}: {error}", "Please report it.")
        finally:
            self._changed()  # before it counts as done: who sees that finds it used
            self._working.pop(name, None)

    def _download(self, folder: ModelFolder) -> Callable[[], None]:
        plan = folder.make_plan()
        return lambda: folder.download(plan, self._stopper(folder))

    def _verify(self, folder: ModelFolder) -> Callable[[], None]:
        folder.cancel.unlink(missing_ok=True)

        def verify() -> None:
            if damaged := folder.verify(self._stopper(folder)):
                raise HubError(
                    f"{', '.join(damaged)}: not what the Hub announced, and removed.", "Download again to replace them."
                )

        return verify

    def _stopper(self, folder: ModelFolder) -> Callable[[int], None]:
        def watch(_: int) -> None:
            if self._closing.is_set() or folder.cancel.exists():
                raise CancelledError("It was stopped.", "What was downloaded so far is kept.")

        return watch

    def _status(self, name: str, folder: ModelFolder) -> ModelStatus:
        if working := self._working.get(name):
            return working
        plan = folder.read_plan()
        if plan is None:
            return "absent"
        with self._store.attempt(self._lock_name(name)) as is_free:
            if not is_free:  # another server's
                return "downloading"
        return "incomplete" if any(folder.missing(plan)) else "complete"

    def _lock(self, name: str, lock: ExitStack) -> None:
        if not lock.enter_context(self._store.attempt_next(self._lock_name(name))):
            raise ConflictError(f"{name} is being downloaded or verified.", "Wait until that is done, or cancel it.")

    def _lock_name(self, name: str) -> str:
        return f"model-{name.lower()}"

    def _folder(self, name: str) -> ModelFolder:
        if name not in self._folders:
            raise NotFoundError(f"There is no model {name[:80]!r}.", f"There is {', '.join(self._folders)}.")
        return self._folders[name]

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[ModelState]:
        """All models that can be downloaded."""
        return [self.get(name) for name in self._folders]


def was_put_there(model: OfficialModel, folder: Path) -> bool:
    """Tell whether a folder holds all of a model that somebody else has put there."""
    if not folder.is_dir():
        return False
    if len(model.parts) == 1:
        part = folder / model.parts[0].folder
        is_described = (part / "config.json").is_file() or any(part.glob("*.yaml"))
        return is_described and any(part.glob("*.safetensors"))
    # Loaded only here: it brings torch.
    from heartmula_studio.generate.base_choice import is_whole

    return is_whole(folder)
