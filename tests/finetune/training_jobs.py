"""Songs, metrics and curves that several training tests share."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from heartmula_studio.dataset.songs import song_dataset

AUDIO_EOS_ID = 130  # of the golden base
MAX_CODE = 128
RARE_CODE = 129  # no made-up song has it
OWN_RANK = "{rank}"  # see in_turn.py
REPOSITORY = Path(__file__).parents[2]


def song_row(number: int, num_frames: int) -> dict:
    """A made-up song of random codes, always the same for one number."""
    generator = torch.Generator().manual_seed(number)
    return {
        "song": f"song {number}",
        "tags": ["piano", f"mood {number}"],
        "lyrics": "[verse]\nthe sun creeps in" if number % 2 else "",
        "codes": torch.randint(0, MAX_CODE, (8, num_frames), generator=generator),
    }


def song_with_rare_code(number: int) -> dict:
    row = song_row(number, 12)
    row["codes"][0, 5] = RARE_CODE
    return row


def write_job(job_dir: Path, rows: list[dict], **settings) -> Path:
    job_dir.mkdir()
    song_dataset(rows).save_to_disk(job_dir / "dataset")
    (job_dir / "config.json").write_text(json.dumps({"epochs": 2, "ladder_rungs": 0, **settings}))
    return job_dir


def read_metrics(job_dir: Path, event: str | None = None) -> list[dict]:
    lines = [json.loads(line) for line in (job_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if event in (None, line["event"])]


def loss_curve(job_dir: Path) -> list[tuple]:
    """Everything measured, in order, without the times it took."""
    return [
        (line["event"], line["step"], line["loss"], *line["per_codebook"], line.get("lr"), line.get("grad_norm"))
        for line in read_metrics(job_dir)
        if line["event"] in ("step", "eval")
    ]


def losses(job_dir: Path) -> list[float]:
    return [entry[2] for entry in loss_curve(job_dir)]


def launch(
    job_dir: Path,
    *options: str,
    module: str = "heartmula_studio.finetune",
    timeout_sec: float = 600,
    **environment: str,
) -> subprocess.CompletedProcess:
    """Run a module on a job through `accelerate launch`."""
    command = ["accelerate.commands.launch", *options, "-m", module, str(job_dir)]
    return start(*command, timeout_sec=timeout_sec, **environment)


def launch_on_nodes(job_dir: Path, processes: int, nodes: int) -> list[subprocess.CompletedProcess]:
    """Train a job with so many processes on all nodes together, each node a launcher of its own on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--cpu", "--num_processes", str(processes), "--num_machines", str(nodes)]
    options += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    with ThreadPoolExecutor(nodes) as pool:
        runs = [pool.submit(launch, job_dir, *options, "--machine_rank", str(rank)) for rank in range(nodes)]
    return [run.result() for run in runs]


def start(module: str, *options: str, timeout_sec: float = 600, **environment: str) -> subprocess.CompletedProcess:
    """Run a module in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", module, *options]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, timeout=timeout_sec, capture_output=True, text=True)
