"""Round trips: a song's tokens turned back into sound, stored beside it until it or the codec changes."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.roundtrip import DISTANCE_DIGITS, DISTANCE_TAG, play_back
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.tokenizing import TokenizingTask, current_tokens, tokenize
from heartmula_studio.errors import ConflictError
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.store.records import utc_now
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import RoundTripFile

MAX_SEC = 60.0
CODEC_TAG, SOURCE_TAG = "codec_id", "source_sha256"


class RoundTripPreview:
    """Listens to one song at a time; on the device it takes the place of a song that is being made."""

    def __init__(self, store: Store, devices: Devices, runtime: Runtime, closing: threading.Event):
        """Once `closing` is set, it stops listening within moments."""
        self._store, self._devices, self._runtime, self._closing = store, devices, runtime, closing
        self._exclusive = threading.Lock()

    def preview_round_trip(self, dataset_id: str, filename: str) -> RoundTripFile:
        """Give the first minute of a song as the model hears it, as it was kept or made now.

        A song that has no tokens gets them, all of it. Raises NotFoundError, AudioError, CheckpointError,
        OutOfMemoryError, StorageError, CancelledError when it closes, and ConflictError while the device has no
        room.
        """
        wanted = (dataset_id, filename, stored_codebook_id(self._runtime.base.codec))
        if kept := self._kept(*wanted):
            return kept
        with self._exclusive:
            return self._kept(*wanted) or self._listen(*wanted)

    def _kept(self, dataset_id: str, filename: str, codec_id: str) -> RoundTripFile | None:
        path = self._store.datasets.heard_path(dataset_id, filename)
        if not path.is_file():
            return None
        tags, song = read_tags(path), self._store.datasets.get_song(dataset_id, filename)
        is_current = (tags.get(CODEC_TAG), tags.get(SOURCE_TAG)) == (codec_id, song.sha256)
        return RoundTripFile(path, float(tags[DISTANCE_TAG])) if is_current else None

    def _listen(self, dataset_id: str, filename: str, codec_id: str) -> RoundTripFile:
        datasets = self._store.datasets
        source = TokenizingTask(
            datasets.audio_path(dataset_id, filename),
            datasets.tokens_path(dataset_id, filename),
            datasets.get_song(dataset_id, filename).sha256,
        )
        tokens = current_tokens(source, codec_id)
        with ExitStack() as device_lease, self._store.scratch() as folder, memory_explained():
            self._take_device(device_lease)
            base = self._runtime.base if tokens is None else replace(self._runtime.base, encoder=None)
            codec = Codec.load(base, self._runtime.device)
            tokens = tokens or self._tokenize(dataset_id, filename, source, codec)
            made = folder / f"{source.name}.flac"
            distance = self._play_back(source.audio, tokens, codec, made)
            return RoundTripFile(datasets.keep_heard(dataset_id, filename, made), round(distance, DISTANCE_DIGITS))

    def _take_device(self, device_lease: ExitStack) -> None:
        """Mark the device as used until `device_lease` ends. Raises ConflictError where there is no room."""
        device = str(self._runtime.device)
        with self._store.lock(QUEUE_LOCK):  # a job that starts in this moment would see the device as free
            if reason := self._devices.may_generate(device, self._runtime.base_name, utc_now()):
                raise ConflictError(f"This song cannot be played now. {reason}", "Try again when that is done.")
            device_lease.enter_context(self._devices.generating(device))

    def _tokenize(self, dataset_id: str, filename: str, source: TokenizingTask, codec: Codec) -> Tokens:
        tokens = tokenize(source, codec, self._runtime.limits, cancelled=self._closing.is_set)
        self._store.datasets.set_tokens(dataset_id, filename, tokens.codes.shape[1])
        return tokens

    def _play_back(self, audio: Path, tokens: Tokens, codec: Codec, out_path: Path) -> float:
        codes = tokens.codes[:, : int(MAX_SEC * FRAME_RATE_HZ)]
        tags = {CODEC_TAG: tokens.codec_id, SOURCE_TAG: tokens.source_sha256}
        return play_back(audio, codes, codec, out_path, cancelled=self._closing.is_set, tags=tags)
