"""Songs made by replicas of the engine on a Ray cluster: over REST, the same as by an engine here, whatever is lost."""

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
import soundfile

from heartmula_studio.codec.pcm import HEADER_BYTES
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import SongRequest, takes_of
from heartmula_studio.generate.takes import SongOutput
from tests.still_studio import wait_until, zipped_adapter
from tests.studio_server import Server, running_server

WAIT_SEC = 300
REQUESTS = [SongRequest("arcade", duration_sec=2.0, seed=seed, topk=30 + seed) for seed in range(4)]  # none are alike
LONG = SongRequest("techno", duration_sec=24.0, min_duration_sec=24.0, seed=5)


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory) -> Iterator[Server]:
    while len(cluster.workers) < 2:
        cluster.add_worker()
    variables = {"HEARTMULA_RAY_ADDRESS": cluster.address, "HEARTMULA_SONG_REPLICAS": "2"}
    with running_server(tmp_path_factory.mktemp("replicas") / "data", **variables) as server:
        yield server


class Client:
    """What a person does at the server."""

    def __init__(self, server: Server):
        self.http = httpx.Client(base_url=server.url, timeout=60)

    def ask(self, request: SongRequest, **changes) -> str:
        return self.call("POST", "/generate/music", json=dataclasses.asdict(request) | changes)["id"]

    def call(self, method: str, path: str, **options) -> dict:
        response = self.http.request(method, path, **options)
        assert response.is_success, response.text
        return response.json()

    def wait_for(self, id: str, is_reached: Callable[[dict], bool]) -> dict:
        deadline = time.monotonic() + WAIT_SEC
        while not is_reached(song := self.call("GET", f"/generate/{id}")):
            assert time.monotonic() < deadline, song
            assert song["status"] not in ("failed", "cancelled"), song
            time.sleep(0.1)
        return song

    def receipt(self, id: str) -> Receipt:
        return Receipt.from_dict(self.wait_for(id, lambda song: song["status"] == "completed")["receipt"])


def replicas() -> list[psutil.Process]:
    """Return the processes that are replicas."""
    return [one for one in psutil.process_iter(["cmdline"]) if "ServeReplica:heartmula" in str(one.info["cmdline"])]


def at_work() -> list[psutil.Process]:
    """Return the replicas that write a song."""
    return [one for one in replicas() if any(file.path.endswith(".wav") for file in one.open_files())]


def same(one: Receipt, other: Receipt) -> bool:
    return (one.codes_sha256, one.sound_sha256) == (other.codes_sha256, other.sound_sha256)


def makes_sound(song: dict) -> bool:
    return song["status"] == "running" and song["progress"] > 10


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("nano", "cpu")


@pytest.mark.slow
@pytest.mark.long
def test_songs_by_replicas_are_those_of_an_engine_here(server, engine, tmp_path):
    client = Client(server)
    adapter = zipped_adapter(tmp_path)
    form = {"files": {"file": ("style.zip", adapter.read_bytes())}, "data": {"name": "Night"}}
    style = client.call("POST", "/training/checkpoints/import", **form)["id"]
    songs = [client.ask(request) for request in REQUESTS]
    styled = client.ask(REQUESTS[0], style=style)
    takes = client.call("POST", "/generate/takes", json=dataclasses.asdict(REQUESTS[1]) | {"takes": 2})
    for request, id in zip(REQUESTS, songs, strict=True):
        assert same(client.receipt(id), engine.make_song(request, tmp_path / f"{id}.wav").receipt)
    outputs = [SongOutput(tmp_path / f"take-{number}.wav") for number in range(2)]
    expected = engine.make_takes(takes_of(REQUESTS[1], 2), outputs)
    for take, song in zip(takes, expected, strict=True):
        assert same(client.receipt(take["id"]), song.receipt)
    again = client.call("POST", f"/generate/{songs[0]}/decode", json={"decode_steps": 10})["id"]
    assert same(client.receipt(again), client.receipt(songs[0]))
    engine.activate(tmp_path / "adapter")
    expected_styled = engine.make_song(REQUESTS[0], tmp_path / "styled.wav").receipt
    engine.deactivate()
    assert same(client.receipt(styled), expected_styled)
    assert client.receipt(styled).style.sha256 == expected_styled.style.sha256


@pytest.mark.slow
@pytest.mark.long
def test_a_song_whose_replica_is_killed_comes_out_the_same_and_is_heard_once(server, engine, tmp_path):
    client = Client(server)
    takes = client.call("POST", "/generate/takes", json=dataclasses.asdict(LONG) | {"takes": 2})
    first, second, other = (take["id"] for take in (*takes, client.call("POST", f"/generate/{takes[0]['id']}/another")))
    with client.http.stream("GET", f"/generate/{first}/stream") as stream:
        for id in (first, other):
            client.wait_for(id, makes_sound)
        assert len(at_work()) == 2
        client.call("POST", f"/generate/{other}/cancel")
        client.call("POST", f"/generate/{second}/cancel")
        wait_until(lambda: len(at_work()) == 1)
        at_work()[0].send_signal(signal.SIGKILL)
        heard = b"".join(stream.iter_bytes())
    outputs = [SongOutput(tmp_path / f"take-{number}.wav") for number in range(2)]
    expected, _ = engine.make_takes(takes_of(LONG, 2), outputs)
    assert same(client.receipt(first), expected.receipt)
    samples, _ = soundfile.read(expected.path, dtype="int16")
    assert heard[HEADER_BYTES:] == samples.astype("<i2").tobytes()
    wait_until(lambda: client.call("GET", f"/generate/{second}")["status"] == "cancelled")
    assert client.call("GET", f"/generate/{other}")["status"] == "cancelled"


@pytest.mark.slow
@pytest.mark.long
def test_a_song_whose_node_is_lost_is_made_on_another_one(cluster, server, engine, tmp_path):
    client = Client(server)
    id = client.ask(LONG)
    client.wait_for(id, makes_sound)
    [busy] = at_work()
    next(node for node in cluster.workers if node.runs(busy.pid)).kill()
    assert same(client.receipt(id), engine.make_song(LONG, tmp_path / "long.wav").receipt)


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_stops_takes_its_replicas_along(server):
    assert replicas()
    server.stop()
    wait_until(lambda: not replicas())
