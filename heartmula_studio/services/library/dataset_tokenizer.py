"""Tokenizing a whole dataset on request, in a thread of the server; a training job does it by itself where it must.

A lock says that some server is at it, so one that was killed leaves no dataset "processing" for ever.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.tokenizing import TokenizingTask, current_tokens, tokenize
from heartmula_studio.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError, StudioError
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.store import Store

_log = logging.getLogger(__name__)


class DatasetTokenizer:
    """`load_codec` is called once for each request and may raise StudioError."""

    def __init__(self, store: Store, load_codec: Callable[[], Codec], limits: AudioLimits):
        self._store, self._load_codec, self._limits = store, load_codec, limits
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, dataset_id: str) -> Dataset:
        """Begin, and return the dataset as it then is.

        Raises NotFoundError; InvalidInputError without songs; ConflictError while it is being tokenized; StorageError
        at once where its lock or record cannot be written.
        """
        if not self._store.datasets.get(dataset_id).audio_files:
            raise InvalidInputError(
                "This dataset has no songs.", "Add recordings first: MP3, WAV, FLAC, OGG, AIFF, CAF or M4A."
            )
        started: Future[None] = Future()
        thread = threading.Thread(target=self._run, args=(dataset_id, started), daemon=True)
        thread.start()
        started.result()
        self._threads = [thread, *(other for other in self._threads if other.is_alive())]
        return self._store.datasets.get(dataset_id)

    def recover(self) -> None:
        """Give datasets that nobody is tokenizing any more their true status."""
        for dataset in self._store.datasets.list():
            if dataset.status == "processing":
                try:
                    self._recover(dataset.id)
                except StudioError as error:  # the others are no worse for it
                    _log.warning("The dataset %s is not given its status: %s", dataset.id, error)

    def close(self) -> None:
        """Stop after the window at hand and wait for the threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _recover(self, dataset_id: str) -> None:
        with self._store.attempt(lock_name(dataset_id)) as is_free:
            if is_free:
                self._store.datasets.set_processing(dataset_id, False)

    def _run(self, dataset_id: str, started: "Future[None]") -> None:
        """Tokenize under the dataset's lock. Whatever keeps it from starting ends `started`, which a request awaits."""
        with ExitStack() as lock:
            try:
                self._begin(dataset_id, lock)
            except BaseException as error:
                started.set_exception(error)
                return
            started.set_result(None)
            try:
                self._tokenize_all(dataset_id)
            except StudioError as error:  # the disk refuses, or the dataset was deleted
                _log.warning("The dataset %s is tokenized no further: %s", dataset_id, error)
            finally:
                self._settle(dataset_id)

    def _begin(self, dataset_id: str, lock: ExitStack) -> None:
        if not lock.enter_context(self._store.attempt_next(lock_name(dataset_id))):
            raise ConflictError("This dataset is being tokenized.", "Wait until it is done.")
        self._store.datasets.set_processing(dataset_id, True)

    def _settle(self, dataset_id: str) -> None:
        try:
            self._store.datasets.set_processing(dataset_id, False)
        except StudioError as error:
            _log.warning("The dataset %s keeps its status: %s", dataset_id, error)

    def _tokenize_all(self, dataset_id: str) -> None:
        songs = self._store.datasets.get(dataset_id).audio_files
        try:
            codec = self._load_codec()
        except StudioError as error:
            for song in songs:
                self._store.datasets.set_tokens(dataset_id, song.filename, None, str(error))
            return
        for song in songs:
            if self._closing.is_set():
                return
            self._tokenize(dataset_id, song, codec)

    def _tokenize(self, dataset_id: str, song: AudioFile, codec: Codec) -> None:
        try:
            audio = self._store.datasets.audio_path(dataset_id, song.filename)
            source = TokenizingTask(audio, self._store.datasets.tokens_path(dataset_id, song.filename), song.sha256)
            with memory_explained():
                tokens = current_tokens(source, codec.codec_id) or tokenize(
                    source, codec, self._limits, cancelled=self._closing.is_set
                )
            self._store.datasets.set_tokens(dataset_id, song.filename, tokens.codes.shape[1])
        except CancelledError:
            _log.info("Tokenizing %s was stopped with the server.", song.filename)
        except NotFoundError:
            _log.info("%s was removed while its dataset was tokenized.", song.filename)
        except StudioError as error:
            self._store.datasets.set_tokens(dataset_id, song.filename, None, str(error))
        except OSError as error:
            self._store.datasets.set_tokens(dataset_id, song.filename, None, f"A file cannot be written: {error}.")


def lock_name(dataset_id: str) -> str:
    return f"tokenizing-{dataset_id}"
