"""Jobs on a Ray cluster: over REST, through the loss of a node, to the same checkpoint as without it."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile
from safetensors.torch import load_file

from heartmula_studio.dataset.catalogue import Catalogue
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.job import train
from heartmula_studio.services.training.ray_cluster.executor import Need, cluster_of, what_is_lacking
from heartmula_studio.services.training.ray_cluster.gpus import gpu_share
from heartmula_studio.settings import Settings
from tests.finetune.training_jobs import read_metrics
from tests.recordings import SONGS
from tests.studio_server import ROOT, Server, running_server

GIB = 1 << 30
STEPS = 12
FILES, RATE_HZ = 2000, 16_000
WAIT_SEC = 500


@pytest.mark.parametrize(
    ("needed", "gpu", "share"), [(10, 80, 0.13), (40, 80, 0.5), (80, 80, 1.0), (100, 80, 1.0), (5, 0, 1.0)]
)
def test_a_job_asks_for_its_share_of_a_gpu(needed, gpu, share):
    assert gpu_share(needed * GIB, gpu * GIB) == share


def test_what_a_job_needs_is_compared_with_what_is_free():
    need = Need(CPU=1, GPU=0.5, memory=0)
    assert str(need) == "0.5 GPU, 1 core and 0.0 GB"
    assert need.fits({"CPU": 4, "GPU": 0.5, "memory": 1})
    assert not need.fits({"CPU": 4, "memory": 1})
    assert [need.count_in({"CPU": cores, "GPU": 2}) for cores in (1, 8)] == [1, 4]
    assert Need(CPU=1, GPU=0, memory=5).count_in({"CPU": 4, "memory": 12}) == 2
    assert need.times(3) == Need(CPU=3, GPU=1.5, memory=0)


@pytest.mark.parametrize(("processes", "said"), [("2", "no run in"), ("0", "--processes is 0")])
def test_what_cannot_be_spread_is_refused_before_the_cluster_is_asked(tmp_path, capsys, processes, said):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'heartmula-studio[ray]'")
    from heartmula_studio.services.training.ray_cluster.spread import main

    if processes == "0":
        (tmp_path / "config.json").write_text("{}")
    assert main([str(tmp_path), "--ray", "127.0.0.1:1", "--processes", processes]) == InvalidInputError.exit_code
    assert said in capsys.readouterr().err


def test_several_processes_wait_for_room_for_all_of_them():
    nodes, need = [{"resources": {"CPU": 2, "memory": GIB}}] * 2, Need(CPU=1, GPU=0, memory=0)
    assert what_is_lacking(need, 4, nodes, {"CPU": 4, "memory": GIB}) is None
    assert "4 cores" in what_is_lacking(need, 4, nodes, {"CPU": 3, "memory": GIB})
    assert "room for 4 of 5 processes" in what_is_lacking(need, 5, nodes, {"CPU": 4, "memory": GIB})
    assert "which none of 2 has" in what_is_lacking(Need(CPU=1, GPU=1, memory=0), 1, nodes, {"CPU": 4})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "ray_address"),
        ({"HEARTMULA_RAY_ADDRESS": "10.0.0.1:6379", "HEARTMULA_ACCELERATE_CONFIG": "gpus.yaml"}, "accelerate_config"),
    ],
)
def test_settings_that_do_not_go_together(monkeypatch, variables, said):
    monkeypatch.setattr("heartmula_studio.services.training.ray_cluster.executor.find_spec", lambda name: object())
    with pytest.raises(InvalidInputError, match=said):
        cluster_of(Settings.load({"HEARTMULA_EXECUTOR": "ray", **variables}))


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr("heartmula_studio.services.training.ray_cluster.executor.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"pip install 'heartmula-studio\[ray\]'"):
        cluster_of(Settings.load({"HEARTMULA_EXECUTOR": "ray"}))
    assert cluster_of(Settings.load({})) is None


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("cluster") / "data"
    with running_server(data_dir, HEARTMULA_EXECUTOR="ray", HEARTMULA_RAY_ADDRESS=cluster.address) as server:
        yield server


class Client:
    """What a person does at the server."""

    def __init__(self, server: Server):
        self.data_dir = server.data_dir
        self.http = httpx.Client(base_url=server.url, timeout=60)

    def call(self, method: str, path: str, **options) -> dict:
        response = self.http.request(method, path, **options)
        assert response.is_success, response.text
        return response.json()

    def start_job(self, **others) -> str:
        dataset = self.call("POST", "/training/datasets", json={"name": "Mine"})["id"]
        for song in SONGS[:5]:
            self.call("POST", f"/training/datasets/{dataset}/audio", files={"file": (song.name, song.read_bytes())})
        settings = {"max_steps": STEPS, "epochs": STEPS, "max_window_sec": 2.0, "state_every_steps": 2}
        settings |= others
        return self.call("POST", "/training/jobs", json={"dataset_id": dataset, **settings})["id"]

    def wait_for(self, id: str, is_reached: Callable[[dict], bool]) -> dict:
        deadline = time.monotonic() + WAIT_SEC
        while not is_reached(job := self.call("GET", f"/training/jobs/{id}")):
            assert time.monotonic() < deadline, job
            assert job["status"] not in ("failed", "cancelled"), job
            time.sleep(0.1)
        return job

    def wait_for_end(self, id: str) -> dict:
        return self.wait_for(id, lambda job: job["status"] not in ("queued", "running"))

    def losses(self, id: str) -> list[float]:
        metrics = self.http.get(f"/training/jobs/{id}/metrics").raise_for_status().json()
        return [line["loss"] for line in metrics if line["event"] == "step"]

    def worker_pid(self, id: str) -> int:
        pid: int = json.loads((self.data_dir / "jobs" / id / "worker.json").read_text())["pid"]
        return pid

    def weights(self, job: dict) -> Path:
        return self.data_dir / "checkpoints" / job["checkpoint_id"] / "adapter_model.safetensors"


@pytest.mark.slow
@pytest.mark.long
def test_a_job_goes_on_elsewhere_when_its_node_is_lost_and_comes_out_the_same(cluster, server):
    client = Client(server)
    undisturbed = client.wait_for_end(first := client.start_job())
    assert (undisturbed["status"], undisturbed["executor"], undisturbed["device"]) == ("completed", "ray", "cpu")

    second = client.call("POST", f"/training/jobs/{first}/clone")["id"]
    client.wait_for(second, lambda job: job["step"] >= 5)
    node = next(node for node in cluster.workers if node.runs(client.worker_pid(second)))
    node.kill()
    done = client.wait_for_end(second)
    assert (done["status"], done["nodes_lost"], done["step"]) == ("completed", 1, STEPS)
    assert client.losses(second) == client.losses(first)
    expected, found = load_file(client.weights(undisturbed)), load_file(client.weights(done))
    assert expected.keys() == found.keys()
    assert all((expected[name] == found[name]).all() for name in expected)

    third = client.call("POST", f"/training/jobs/{first}/clone")["id"]
    client.wait_for(third, lambda job: job["step"] >= 3)
    assert client.call("POST", f"/training/jobs/{third}/cancel", json={"save": True})["status"] == "running"
    stopped = client.wait_for_end(third)
    assert (stopped["status"], "saved at step" in stopped["message"]) == ("interrupted", True)
    client.call("POST", f"/training/jobs/{third}/resume")
    client.wait_for(third, lambda job: job["step"] > stopped["step"])
    pid = client.worker_pid(third)
    assert client.call("POST", f"/training/jobs/{third}/cancel", json={"save": False})["status"] == "cancelled"
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
@pytest.mark.long
def test_one_training_over_two_nodes_is_that_of_one_process_though_a_node_is_lost(cluster, server, tmp_path):
    client = Client(server)
    while len(cluster.workers) < 2:
        cluster.add_worker()
    together = client.start_job(processes=2, batch_size=1)
    client.wait_for(together, lambda job: job["step"] >= 5)
    node = next(node for node in cluster.workers if not node.runs(client.worker_pid(together)))
    node.kill()
    cluster.add_worker()
    done = client.wait_for_end(together)
    assert (done["status"], done["step"], done["processes"]) == ("completed", STEPS, 2)
    alone = run_alone(server.data_dir / "jobs" / together, tmp_path / "alone")
    expected = [line["loss"] for line in read_metrics(alone, "step")]
    assert client.losses(together) == pytest.approx(expected, abs=1e-5)

    stopped = client.call("POST", f"/training/jobs/{together}/clone")["id"]
    client.wait_for(stopped, lambda job: job["step"] >= 2)
    client.call("POST", f"/training/jobs/{stopped}/cancel", json={"save": True})
    assert "saved at step" in client.wait_for_end(stopped)["message"]


def run_alone(job: Path, folder: Path) -> Path:
    """Train what two processes trained in this one, with the same global batch."""
    folder.mkdir()
    shutil.copytree(job / "dataset", folder / "dataset")
    config = json.loads((job / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"gradient_accumulation_steps": 2, "ladder_rungs": 0}))
    train(folder)
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_a_catalogue_is_tokenized_once_though_a_node_is_lost(cluster, tmp_path):
    audio, codes = tmp_path / "audio", Catalogue(tmp_path / "codes", tmp_path / "audio")
    names = write_tones(audio, FILES)
    cluster.add_worker()
    first, *_ = cluster.workers
    command = ["catalogue", audio, codes.folder, "--ray", cluster.address, "--base", "nano", "--device", "cpu"]
    running = subprocess.Popen([sys.executable, "-m", "heartmula_studio", *map(str, command)], cwd=ROOT)
    deadline = time.monotonic() + WAIT_SEC
    while not list(codes.folder.glob("codes-*.parquet")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not codes.index.exists()
    first.kill()
    assert running.wait() == 0
    assert sorted(row["path"] for row in pq.read_table(codes.index).to_pylist()) == names
    assert codes.errors.read_text() == ""


def write_tones(folder: Path, count: int) -> list[str]:
    """Write recordings of little more than a second, each of a tone of its own; return their names in order."""
    folder.mkdir()
    seconds = np.arange(round(1.1 * RATE_HZ)) / RATE_HZ
    names = [f"{number:05d}.wav" for number in range(count)]
    for number, name in enumerate(names):
        soundfile.write(folder / name, 0.5 * np.sin(2 * np.pi * (200 + number) * seconds), RATE_HZ)
    return names
