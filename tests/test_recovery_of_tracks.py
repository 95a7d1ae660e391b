"""A dataset outlives kill -9 of the server in the midst of a transcription and a cleaning: nothing half-done stays."""

import hashlib
import os
import signal

import httpx
import numpy as np
import pytest
import soundfile

from tests.recordings import SONGS
from tests.still_studio import wait_until
from tests.studio_server import Server, running_server
from tests.whisper.spoken import FOLDER, SPOKEN

pytestmark = pytest.mark.long
REPEATS = 20  # of three seconds: cleaning such a recording takes a moment in which a kill comes
TRACKS = 5


class Dataset:
    """The recordings of one dataset, as a server says they are."""

    def __init__(self, server: Server, id: str = ""):
        self.server, self.http = server, httpx.Client(base_url=server.url, timeout=300)
        self.id = id or self.ask("POST", "/training/datasets", json={"name": "Mine"})["id"]
        self.path = f"/training/datasets/{self.id}"

    def ask(self, method: str, path: str, **options) -> dict:
        return self.http.request(method, path, **options).raise_for_status().json()

    @property
    def tracks(self) -> list[dict]:
        return self.ask("GET", self.path)["audio_files"]

    def analysis(self, action: str = "", method: str = "GET", **options) -> dict:
        return self.ask(method, f"{self.path}/analyses/lyrics{action}", **options)

    def clean(self, method: str = "POST", **options) -> None:
        self.ask(method, f"{self.path}/cleaning", **options)

    def check_files(self) -> None:
        """Every track is the very file that it is said to be, and no other file is there."""
        folder = self.server.data_dir / "datasets" / self.id
        cleaned = sum(track["cleaned"] is not None for track in self.tracks)
        for track in self.tracks:
            sound = self.http.get(f"{self.path}/audio/{track['filename']}").raise_for_status().content
            assert hashlib.sha256(sound).hexdigest() == track["sha256"]
        assert len(os.listdir(folder / "audio")) == len(self.tracks)
        assert cleaned == len(os.listdir(folder / "cleaned")) if cleaned else True


def test_nothing_is_lost_where_a_transcription_and_a_cleaning_are_killed(tmp_path):
    level = {"json": {"loudness_lufs": -30.0}}
    with running_server(tmp_path / "data", HEARTMULA_CHECKPOINTS_DIR=str(FOLDER)) as server:
        dataset = Dataset(server)
        for song in [SPOKEN, *SONGS[: TRACKS - 1]]:
            samples, rate_hz = soundfile.read(song, always_2d=True)
            path = tmp_path / f"{song.stem}.flac"
            soundfile.write(path, np.tile(samples, (REPEATS, 1)) if song != SPOKEN else samples, rate_hz)
            dataset.ask("POST", f"{dataset.path}/audio", files={"file": (path.name, path.read_bytes())})
        before = dataset.tracks
        dataset.analysis(method="POST", json={})
        wait_until(lambda: dataset.analysis()["done"] > 0)
        dataset.ask("POST", f"{dataset.path}/cleaning/start", **level)
        wait_until(lambda: any(track["cleaned"] for track in dataset.tracks))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()

    with running_server(tmp_path / "data", HEARTMULA_CHECKPOINTS_DIR=str(FOLDER)) as server:
        dataset = Dataset(server, dataset.id)
        left = dataset.tracks
        assert 0 < sum(track["cleaned"] is not None for track in left) < TRACKS
        (heard,) = left[0]["proposals"]
        dataset.check_files()
        dataset.analysis(method="POST", json={})
        dataset.clean(**level)
        wait_until(lambda: dataset.analysis()["status"] == "completed")
        assert dataset.analysis()["done"] == TRACKS
        assert all(track["cleaned"] for track in dataset.tracks)
        assert dataset.tracks[0]["proposals"] == [heard]
        dataset.check_files()
        dataset.clean("DELETE")
        dataset.check_files()
        names = ("filename", "sha256", "caption", "duration_sec", "cleaned")
        assert [[track[name] for name in names] for track in dataset.tracks] == [
            [track[name] for name in names] for track in before
        ]
