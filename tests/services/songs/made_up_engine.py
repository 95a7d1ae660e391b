"""An engine that makes songs of no sound, for tests of which only the order and the record matter."""

import dataclasses
import secrets
import threading
import time
from types import SimpleNamespace

from heartmula_studio.errors import CancelledError, OutOfMemoryError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_writer import GeneratedSong
from heartmula_studio.store.records import Generation, utc_now
from tests.generate.test_replay import RECEIPT

REQUEST = SongRequest("arcade", duration_sec=1.5, seed=4)
OTHER = dataclasses.replace(REQUEST, topk=20)  # it is not made beside the first


def song_of(request: SongRequest, format: str = "wav") -> Generation:
    return Generation(secrets.token_hex(6), dataclasses.asdict(request), format, utc_now())


def no_codec():
    raise AssertionError("these songs are composed")


class MadeUpEngine:
    """Makes songs of no sound, once `go` is set; notes what it was asked for."""

    def __init__(self):
        self.go, self.asked, self.begun = threading.Event(), [], threading.Event()
        self.let_go = threading.Event()

    codec = SimpleNamespace(sample_rate_hz=24_000)

    def make_takes(self, requests, outputs, progress, cancelled, decode_progress, decoding, finished, kept):
        self.asked.append([request.seed for request in requests])
        self.begun.set()
        progress(1, 2)
        while not self.go.wait(0.02):
            if cancelled():
                raise CancelledError("Stopped.")
        for number, (request, output) in enumerate(zip(requests, outputs, strict=True)):
            if request.tags == "too much":
                raise OutOfMemoryError("No memory.", "Ask for less.")
            if request.tags == "fault":
                raise KeyError("fault")
            if output.cancelled():
                continue
            decode_progress(1, 2)
            output.path.write_bytes(b"song")
            receipt = dataclasses.replace(RECEIPT, request=request, duration_sec=1.5, ended=request.seed % 4 == 0)
            finished(number, GeneratedSong(output.path, receipt, is_audible=request.tags != "silence"))


def wait_for(store, song, *statuses, timeout_sec=60.0):
    deadline = time.monotonic() + timeout_sec
    while (now := store.generations.get(song.id)).status not in statuses:
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
    return now
