"""Logs and events for readers who come, go and come again."""

import json
import threading

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.memory_only import NotInMemoryError, memory_only
from heartmula_studio.services.training import progress
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.progress import LiveProgress, follow, read_text
from heartmula_studio.store.records import Job, utc_now

JOB = Job("a", "d1", "Mine", "lora", 1, 1e-4, 8, "nano", "cpu", {}, utc_now(), status="running")


def test_no_character_of_a_log_is_cut_in_two(tmp_path):
    path, text = tmp_path / "logs.txt", "aé€😀" * 3
    seen, offset = "", 0
    for length in range(len(text.encode()) + 1):
        path.write_bytes(text.encode()[:length])
        more, offset = read_text(path, offset)
        seen += more
    assert seen == text


def test_wrong_offsets(tmp_path):
    path = tmp_path / "logs.txt"
    assert read_text(path, 5) == ("", 0)
    path.write_text("abc")
    assert read_text(path, 99) == ("", 3)
    with pytest.raises(InvalidInputError, match="-1"):
        read_text(path, -1)


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"event": "step", "step": step}) + "\n" for step in range(1, 5)))
    return path


def test_a_client_that_returns_gets_what_it_missed(metrics):
    events = list(follow(metrics, lambda: "completed", 0, threading.Event()))
    assert [line.get("step") for _, line in events] == [1, 2, 3, 4, None]
    assert events[-1][1] == {"event": "end", "status": "completed"}
    again = list(follow(metrics, lambda: "completed", events[1][0], threading.Event()))
    assert again == events[2:]


def test_following_survives_a_resumed_run_that_cuts_the_file_back(metrics):
    status, steps = ["running"], []
    for end, line in follow(metrics, lambda: status[0], 0, threading.Event()):
        steps.append(line.get("step"))
        if len(steps) == 4:
            metrics.write_text(metrics.read_text()[: end // 2])
            threading.Timer(0.6, lambda: metrics.open("a").write('{"event": "step", "step": 3}\n')).start()
        if len(steps) == 5:
            status[0] = "interrupted"
    assert steps == [1, 2, 3, 4, 3, None]


def test_following_ends_when_asked_to(metrics):
    stop, seen = threading.Event(), []
    for event in follow(metrics, lambda: "running", 0, stop):
        seen.append(event)
        if len(seen) == 4:
            stop.set()
    assert len(seen) == 4


@pytest.mark.parametrize(("pause_sec", "is_known"), [(1000.0, True), (0.0, False)])
def test_who_must_not_wait_gets_what_was_read_a_moment_ago(tmp_path, monkeypatch, pause_sec, is_known):
    monkeypatch.setattr(progress, "FOLLOW_SEC", pause_sec)
    live, folder = LiveProgress(), JobFolder(tmp_path)
    folder.dataset.mkdir()

    def asked() -> Job | None:
        try:
            with memory_only():
                return live.of(JOB, folder)
        except NotInMemoryError:
            return None

    before = live.of(JOB, folder)
    folder.stop.touch()
    assert asked() is None, "the first who asks has it read"
    assert asked() is (before if is_known else None)
    assert live.of(JOB, folder).message == "Saving, then stopping after this step."
    assert asked() is live.of(JOB, folder)
