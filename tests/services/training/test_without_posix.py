"""Store, queue and workers where only what Windows has, too, is there; and what stands in for the rest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heartmula_studio.codec.decoder import read_at
from heartmula_studio.errors import StorageError
from heartmula_studio.files import moving
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.file_lock import is_locked, try_lock
from tests.without_posix import PRELUDE

ROOT = Path(__file__).parents[3]
TIMEOUT_SEC = 600

# A worker, and what it turns into, know no more than the server.
WORKER = """
from heartmula_studio.services.training import worker
script, trainer = sys.argv.pop(), worker.training_command
worker.trains_itself = lambda *given: False
worker.training_command = lambda *given: [sys.executable, "-c", script, *trainer(*given)[3:]]
sys.exit(worker.main())
"""
TRAINER = "from heartmula_studio.finetune.__main__ import main; sys.exit(main())"
LIFE_OF_A_JOB = """
from pathlib import Path
from heartmula_studio.services.training import local_executor
from heartmula_studio.services.training.processes import processes_of
from heartmula_studio.store.store import Store
from tests.services.studio_folder import folder_of, new_queue, run_to_the_end, run_until, song_dataset, submit
from tests.without_posix import PRELUDE

root, worker, trainer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
plain = local_executor.command
local_executor.command = lambda *given: [sys.executable, "-c", PRELUDE + worker, *plain(*given)[3:], PRELUDE + trainer]
store = Store(root)
dataset = song_dataset(store)
queue = new_queue(store)
job = submit(queue, dataset, max_steps=2, ladder_rungs=0, preview_songs=0)
folder = folder_of(store, job)

queue.tick()
run_until(queue, lambda: folder.read_worker() or queue.get(job.id).status == "failed")
assert folder.is_worked_on()
assert new_queue(store).get(job.id).status == "running"
for process in list(processes_of(folder)):
    process.kill()
killed = run_to_the_end(queue, job)
assert killed.status in ("interrupted", "failed"), killed

queue.resume(job.id)
done = run_to_the_end(queue, job)
assert done.status == "completed", (done.error, folder.output.read_text())
assert not folder.is_worked_on()
assert store.checkpoints.get(done.checkpoint_id).size_bytes > 0
store.jobs.delete(job.id)
store.datasets.delete(dataset.id)
store.recover()
assert not [path for path in root.rglob("*") if path.name.startswith(".tmp-")]
"""


@pytest.mark.long
def test_a_job_is_killed_resumed_and_completed_without_posix(tmp_path):
    script = [sys.executable, "-c", PRELUDE + LIFE_OF_A_JOB, str(tmp_path / "data"), WORKER, TRAINER]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


STORE_TESTS = ("store/test_store.py", "store/test_collection.py", "store/test_datasets.py", "store/test_checkpoints.py")
RUN_TESTS = "import pytest; sys.exit(pytest.main(['-q', '-n', '0', '-p', 'no:cacheprovider', *sys.argv[1:]]))"


def test_the_tests_of_the_store_pass_without_posix():
    tests = [str(ROOT / "tests" / name) for name in STORE_TESTS]
    script = [sys.executable, "-c", PRELUDE + RUN_TESTS, *tests]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_lock_ends_with_whoever_inherited_it(tmp_path):
    path = tmp_path / "lock"
    with try_lock(path) as lock:
        command = [sys.executable, "-Sc", "import time; time.sleep(600)"]
        child = subprocess.Popen(command, stdin=lock)
    assert try_lock(path) is None
    assert is_locked(path)
    child.kill()
    child.wait()
    assert not is_locked(path)


def test_a_process_locks_its_own_input_once(tmp_path):
    """As a worker does: what it inherited is its own already; without that, the first holds it and the second ends."""
    script = "import sys; from pathlib import Path; from heartmula_studio.files.file_lock import lock_input; "
    script += "print(lock_input(Path(sys.argv[1]), 0.1), flush=True)"
    path = tmp_path / "lock"

    def run(**options) -> str:
        command = [sys.executable, "-c", script, str(path)]
        return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, **options).stdout

    assert run(stdin=subprocess.DEVNULL) == "True\n"
    with try_lock(path) as lock:
        assert run(stdin=lock) == "True\n"
        assert run(stdin=subprocess.DEVNULL) == "False\n"


def test_what_windows_says_is_open_is_moved_when_it_is_closed(tmp_path, monkeypatch):
    refusals = [sharing_violation(), sharing_violation()]
    plain = Path.replace

    def replace(path, target):
        if refusals:
            raise refusals.pop()
        return plain(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(moving, "POLL_SEC", 0.0)
    (tmp_path / "a").write_text("a")
    moving.move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a"


def test_what_stays_open_is_said(tmp_path, monkeypatch):
    def refuse(path, target):
        raise sharing_violation()

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(moving, "WAIT_SEC", 0.0)
    with pytest.raises(StorageError) as caught, disk_explained(tmp_path):
        moving.move(tmp_path / "a", tmp_path / "b")
    assert "close that" in caught.value.hint


def sharing_violation() -> OSError:
    error = PermissionError(13, "in use")
    error.winerror = 32
    return error


def test_a_place_is_read_where_pread_is_not(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pread")
    (tmp_path / "a").write_bytes(b"0123456789")
    with (tmp_path / "a").open("rb") as file:
        assert read_at(file.fileno(), 3, 4) == b"456"
