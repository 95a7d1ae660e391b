"""A real server process for tests: `python app.py` on a free port with a data folder of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_UPLOAD_BYTES = 1_200_000_000  # of the server that tests share


def shortened(script: str) -> str:
    """A script of ours with trainings of one epoch, three steps at most; else each would take a minute."""
    script = re.sub(r'(\\?")epochs\1: \d+', r"\1epochs\1: 1, \1max_steps\1: 3", script)
    script = re.sub(r"--epochs \d+", "--epochs 1 --max-steps 3 --track-versions 1", script)
    return re.sub(r"\bepochs=\d+", 'epochs=1, settings={"max_steps": 3}', script)


@dataclass(frozen=True)
class Server:
    url: str
    data_dir: Path
    process: subprocess.Popen

    def stop(self) -> int:
        """Ask it to end, as a service manager does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """The surroundings of a server: the bundled base, Gradio's files apart from those of other servers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEARTMULA_", "GRADIO_"))}
    return inherited | {
        "HEARTMULA_DATA_DIR": str(data_dir),
        "HEARTMULA_BASE_MODEL": "nano",
        "HEARTMULA_DEVICE": "cpu",
        "HEARTMULA_PREVIEW_SONGS": "0",
        "HEARTMULA_MAX_TRACK_VERSIONS": "1",
        "GRADIO_TEMP_DIR": str(data_dir.with_name(f"{data_dir.name}-gradio")),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        **variables,
    }


def catalogues_of(data_dir: Path) -> Path:
    """Where the server that tests share looks for catalogues."""
    return data_dir.with_name("catalogues")


@contextmanager
def running_server(data_dir: Path, *options: str, **variables: str) -> Iterator[Server]:
    command = [sys.executable, "app.py", "--port", "0", *options]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(data_dir, **variables), stdout=subprocess.PIPE)
    try:
        printed = process.stdout.readline().decode()
        address = re.search(r"http://\S+", printed)
        assert address, f"the server said {printed!r}"
        yield Server(address[0], data_dir, process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def temporaries(server: Server) -> set[Path]:
    """What lies beside the data; a running server keeps one folder there for uploads."""
    return {path for path in server.data_dir.rglob(".tmp-*") if ".locks" not in path.parts}
