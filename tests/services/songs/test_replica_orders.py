"""An order to a replica and its answers, without a cluster: what is asked for, and what becomes of what comes back."""

import pickle
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.errors import ClusterError, InvalidInputError
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.kept_codes import NOTHING_KEPT
from heartmula_studio.generate.request import SongRequest, takes_of
from heartmula_studio.generate.strength import Strength
from heartmula_studio.generate.takes import SongOutput
from heartmula_studio.services.songs.replicas import engine as replicas
from heartmula_studio.services.songs.replicas.orders import ComposeOrder, Ended, Made, Progressed, Sounded
from heartmula_studio.services.songs.replicas.receiving import Receiver
from heartmula_studio.services.songs.replicas.replica import SongReplica, Stopped, Stops
from heartmula_studio.services.songs.song_engine import Composition
from heartmula_studio.settings import Settings
from tests.still_studio import adapter_folder

TAKES = takes_of(SongRequest("arcade", duration_sec=1.0, seed=4), 2)
ADDRESS = {"HEARTMULA_RAY_ADDRESS": "10.0.0.1:6379"}


class Heard:
    """What is told of songs on their way."""

    def __init__(self):
        self.sound, self.finished, self.progress, self.is_open = [], {}, [], False

    @contextmanager
    def live(self):
        self.is_open = True
        yield lambda stretch: self.sound.append(stretch.numpy())
        self.is_open = False


def composition(heard: Heard, folder: Path) -> Composition:
    """Two takes in WAV, of which the first is listened to."""
    outputs = [SongOutput(folder / "0.wav", heard.live), SongOutput(folder / "1.wav", tried=(4, 5))]
    progress = lambda done, total: heard.progress.append((done, total))  # noqa: E731
    decoding, finished = DecodeSettings(), heard.finished.__setitem__
    return Composition(TAKES, outputs, decoding, NOTHING_KEPT, progress, progress, bool, finished, print)


def stretch(start: int, samples: list[float]) -> Sounded:
    return Sounded(0, start, np.array([samples, samples], dtype=np.float32))


@pytest.fixture(scope="module")
def replica() -> SongReplica:
    return SongReplica("nano", "cpu")


def answers(replica: SongReplica, order: ComposeOrder, stopped: Stopped | None = None) -> list:
    """Return what a replica says of an order, both as they come out at the other end."""
    events: list[bytes] = []
    replica.run(
        pickle.loads(pickle.dumps(order)), stopped or Stopped(), lambda event: events.append(pickle.dumps(event))
    )
    return [pickle.loads(event) for event in events]


def test_songs_come_back_as_the_engine_makes_them(replica, tmp_path, short_windows):
    heard = Heard()
    work = composition(heard, tmp_path)
    receiver = Receiver(work)
    events = answers(replica, ComposeOrder.of(work, "nano", []))
    assert events[-1] == Ended()
    for event in events:
        receiver.take(event)
    expected = Engine.load("nano", "cpu").make_takes(TAKES, [SongOutput(tmp_path / f"here-{n}.wav") for n in range(2)])
    for number, song in heard.finished.items():
        here, there = (soundfile.read(path)[0] for path in (song.path, expected[number].path))
        assert (here == there).all()
        assert song.receipt.sound_sha256 == expected[number].receipt.sound_sha256
        assert song.receipt.codes_sha256 == expected[number].receipt.codes_sha256
    assert (heard.finished[1].receipt.tried, receiver.made, heard.is_open) == ((4, 5), {0, 1}, False)
    names = [f"{number}.wav{suffix}" for number in range(2) for suffix in ("", ".codes.safetensors", ".json")]
    assert sorted(path.name for path in tmp_path.glob("[01].wav*")) == names
    assert sum(part.shape[1] for part in heard.sound) == soundfile.info(tmp_path / "0.wav").frames


def test_a_song_that_is_made_or_not_wanted_is_not_written_again(replica, tmp_path, short_windows):
    order = ComposeOrder.of(composition(Heard(), tmp_path), "nano", [])
    again = order.without(frozenset({0}))
    assert again.id != order.id
    assert [event.number for event in answers(replica, again) if isinstance(event, Made)] == [1]
    stopped = Stopped()
    stopped.numbers = {1}
    assert [event.number for event in answers(replica, order, stopped) if isinstance(event, Made)] == [0]


def test_what_was_heard_before_a_replica_was_lost_is_not_heard_again(tmp_path):
    heard = Heard()
    receiver = Receiver(composition(heard, tmp_path))
    for event in (stretch(0, [1, 2]), stretch(2, [3]), stretch(0, [1, 2]), stretch(2, [3, 4]), stretch(4, [5])):
        receiver.take(event)
    assert np.concatenate(heard.sound, axis=1)[0].tolist() == [1, 2, 3, 4, 5]
    receiver.take(Progressed(3, 7, is_sound=True))
    assert heard.progress == [(3, 7)]
    receiver.close()
    assert not heard.is_open


def test_what_is_wrong_with_a_style_a_node_or_the_base_is_told(replica, tmp_path):
    order = ComposeOrder.of(composition(Heard(), tmp_path), "nano", [(tmp_path / "gone", Strength())])
    [ended] = answers(replica, order)
    assert isinstance(ended.error, ClusterError)
    assert "does not see the style's folder" in ended.error.message
    adapter_folder(tmp_path / "style", width=4)
    [ended] = answers(
        replica, ComposeOrder.of(composition(Heard(), tmp_path), "nano", [(tmp_path / "style", Strength())])
    )
    assert (ended.error.code, bool(ended.error.hint)) == ("checkpoint_mismatch", True)
    [ended] = answers(SongReplica("/nowhere", "cpu"), ComposeOrder.of(composition(Heard(), tmp_path), "/nowhere", []))
    assert isinstance(ended.error, ClusterError)
    assert "cannot load the base" in ended.error.message


def test_replicas_can_ask_what_is_not_wanted():
    stops = Stops()
    stops.add("a", {1})
    stops.add("a", {2})
    assert (stops.of("a"), stops.of("b")) == ({1, 2}, set())
    stops.forget("a")
    assert stops.of("a") == set()


@pytest.mark.parametrize(
    ("gpus", "count", "expected"),
    [([], 2, (1, 0.0, True)), ([(2, 80e9)], 2, (1, 1.0, False)), ([(1, 80e9)], 2, (1, 0.01, False))],
)
def test_a_replica_asks_for_a_gpu_of_its_own_or_else_for_a_share(monkeypatch, gpus, count, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("heartmula_studio.generate.memory.generation_bytes", lambda base, device: 700_000_000)
    nodes = [{"resources": {"CPU": 4.0}, "gpu_bytes": 0}]
    nodes += [{"resources": {"CPU": 4.0, "GPU": float(num)}, "gpu_bytes": int(size)} for num, size in gpus]
    need = replicas.need_of_replica(SimpleNamespace(device="cpu", base=find_base("nano")), count, nodes)
    assert (need.CPU, need.GPU, need.memory > 0) == expected


@pytest.mark.parametrize(
    ("variables", "installed", "said"),
    [({}, True, "HEARTMULA_RAY_ADDRESS"), (ADDRESS, False, r"pip install 'heartmula-studio\[serve\]'")],
)
def test_settings_that_replicas_cannot_run_by(monkeypatch, variables, installed, said):
    monkeypatch.setattr(replicas, "find_spec", lambda name: object() if installed or name == "ray" else None)
    with pytest.raises(InvalidInputError, match=said):
        replicas.replicas_of(Settings.load({"HEARTMULA_SONG_REPLICAS": "2", **variables}), None, None)
    assert replicas.replicas_of(Settings.load(variables), None, None) is None
