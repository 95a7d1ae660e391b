"""A dataset outlives kill -9 amid an import, an export and an analysis: what is left is whole, and goes on."""

import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import datasets
import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from heartmula_studio.studio import Studio
from tests.codec.test_tagger import make_clap
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, wait_until
from tests.studio_server import ROOT, environment, running_server, temporaries
from tests.whisper.spoken import MODEL, SPOKEN, SPOKEN_LINES

LEVELS = 6  # how many songs there are of each recording, no two alike
WORDS = "\n".join(line for line, _, _ in SPOKEN_LINES)


@pytest.fixture
def studio(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


@contextmanager
def shell(studio: Studio, *arguments: str, **variables: str) -> Iterator[subprocess.Popen]:
    """A command of ours on the studio's data, which ends by kill -9 with the block."""
    command = [sys.executable, "-u", "-m", "heartmula_studio", "dataset", *arguments]
    surroundings = environment(studio.settings.data_dir, **variables)
    with subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            assert process.poll() is None, "it ended before it was killed"
            os.kill(process.pid, signal.SIGKILL)


def restarted(studio: Studio) -> Studio:
    """As a server that starts finds the data, and tidies up."""
    again = still_studio(studio.settings)
    again.store.recover()
    return again


# --- import -------------------------------------------------------------------------------------------------------


def songs_in(folder: Path) -> list[dict]:
    """Write songs to a folder, and return what is said of each."""
    folder.mkdir()
    said = []
    for song in SONGS:
        samples, rate_hz = soundfile.read(song, dtype="float32")
        for level in range(LEVELS):
            name = f"{song.stem} {level}.flac"
            soundfile.write(folder / name, samples * (1 - level / (2 * LEVELS)), rate_hz)
            said.append({"file_name": name, "lyrics": f"[verse]\nla {level}", "tags": ["slow"], "rights": "own"})
    return said


def as_dataset(folder: Path, said: list[dict]) -> datasets.Dataset:
    audio = [{"bytes": (folder / row["file_name"]).read_bytes(), "path": row["file_name"]} for row in said]
    content = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"audio": content, "lyrics": datasets.Value("string")})
    columns = {"audio": audio, "lyrics": [row["lyrics"] for row in said]}
    return datasets.Dataset.from_dict(columns, features).cast_column("audio", datasets.Audio(decode=False))


def beside(folder: Path, said: list[dict]) -> Path:
    for row in said:
        (folder / row["file_name"]).with_suffix(".txt").write_text(row["lyrics"])
    return folder


def audiofolder(folder: Path, said: list[dict]) -> Path:
    (folder / "metadata.csv").write_text(
        "file_name,lyrics\n" + "".join(f'{row["file_name"]},"{row["lyrics"]}"\n' for row in said)
    )
    return folder


def zipped(folder: Path, said: list[dict]) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", beside(folder, said)))


def webdataset(folder: Path, said: list[dict]) -> Path:
    with tarfile.open(folder.with_suffix(".tar"), "w") as shard:
        for file in sorted(beside(folder, said).iterdir()):
            shard.add(file, file.name)
    return folder.with_suffix(".tar")


def parquet(folder: Path, said: list[dict]) -> Path:
    as_dataset(folder, said).to_parquet(folder.with_suffix(".parquet"))
    return folder.with_suffix(".parquet")


def saved(folder: Path, said: list[dict]) -> Path:
    as_dataset(folder, said).save_to_disk(folder.with_name("saved"))
    return folder.with_name("saved")


def of_the_hub(folder: Path, said: list[dict]) -> Path:
    """As a repository of the Hub is downloaded."""
    repository = folder.with_name("repository")
    (repository / "data").mkdir(parents=True)
    as_dataset(folder, said).to_parquet(repository / "data" / "train-00000-of-00001.parquet")
    (repository / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    return repository


LONGER = [audiofolder, zipped, webdataset, parquet, saved, of_the_hub]


@pytest.mark.parametrize("source", [beside, *(pytest.param(one, marks=pytest.mark.long) for one in LONGER)])
def test_an_import_that_is_killed_leaves_nothing_and_then_comes_in_whole(studio, tmp_path, source: Callable):
    said = songs_in(tmp_path / "songs")
    path = source(tmp_path / "songs", said)
    data_dir = studio.settings.data_dir
    with shell(studio, "import", str(path)) as process:
        wait_until(lambda: process.poll() is not None or any(data_dir.glob(".tmp-*/*/audio/*.flac")))
    again = restarted(studio)
    assert again.datasets.list() == []
    assert list((data_dir / "datasets").iterdir()) == []
    assert not any(data_dir.glob(".tmp-*"))
    taken = again.imports.run_local(path)
    assert {item.name for item in taken.skipped} <= {"README.md"}
    words = {track.filename: track.caption for track in taken.audio_files}
    assert words == {row["file_name"]: row["lyrics"] for row in said}


@pytest.mark.long
def test_an_import_of_a_server_that_is_killed_leaves_nothing_and_then_comes_in_whole(tmp_path):
    said = songs_in(tmp_path / "songs")
    content = zipped(tmp_path / "songs", said).read_bytes()

    def start(http: httpx.Client) -> dict:
        return http.post("/training/imports", files={"file": ("songs.zip", content)}).raise_for_status().json()

    with running_server(tmp_path / "data") as server, httpx.Client(base_url=server.url, timeout=300) as http:
        path = f"/training/imports/{start(http)['id']}"
        wait_until(lambda: http.get(path).json()["done"] > 0)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with running_server(tmp_path / "data") as server, httpx.Client(base_url=server.url, timeout=300) as http:
        assert http.get(path).status_code == 404
        assert http.get("/training/datasets").json() == []
        assert len(temporaries(server)) <= 1  # the running server's own
        path = f"/training/imports/{start(http)['id']}"
        wait_until(lambda: http.get(path).json()["status"] != "running")
        task = http.get(path).json()
        dataset = http.get(f"/training/datasets/{task['dataset_id']}").json()
        words = {track["filename"]: track["caption"] for track in dataset["audio_files"]}
        assert words == {row["file_name"]: row["lyrics"] for row in said}


# --- analyses -----------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("what", ["tempo-and-key", "tags", "lyrics"])
def test_an_analysis_that_is_killed_keeps_what_it_found_and_goes_on(studio, tmp_path, what):
    """Known lyrics are aligned: they stay as they are, and their times are proposed."""
    models = tmp_path / "models"
    make_clap(models / "larger_clap_music")
    (models / "spoken").symlink_to(MODEL, target_is_directory=True)
    dataset = filled(studio, 5, [SPOKEN, *SONGS[:4]])
    for track in dataset.audio_files:
        studio.datasets.update_audio(dataset.id, track.filename, caption=WORDS)
    with shell(studio, "propose", dataset.id, "--what", what, HEARTMULA_CHECKPOINTS_DIR=str(models)) as process:
        assert process.stdout.readline().decode().strip() == SPOKEN.name
    again = restarted(still_studio(dataclasses.replace(studio.settings, checkpoints_dir=models)))
    left = again.datasets.get(dataset.id).audio_files
    assert 0 < sum(bool(track.analyzed_by) for track in left) < len(left)
    assert {track.caption for track in left} == {WORDS}
    found = list(again.datasets.analyze(dataset.id, what.replace("-", "_")))
    tracks = again.datasets.get(dataset.id).audio_files
    assert [track.filename for track in found] == [track.filename for track in tracks]
    assert all(track.analyzed_by for track in tracks)
    assert tracks[0].proposals == left[0].proposals
    again.datasets.decide_proposals(dataset.id, "accepted")
    again.datasets.decide_proposals(dataset.id, "open")
    assert again.datasets.get(dataset.id).audio_files == tracks


# --- export -------------------------------------------------------------------------------------------------------


def names_in(format: str, content: bytes) -> list[str]:
    """The songs of an export, which is read whole."""
    if format == "folder":
        archive = zipfile.ZipFile(io.BytesIO(content))
        assert archive.testzip() is None
        return [name for name in archive.namelist() if name.endswith(".wav")]
    if format == "parquet":
        return [row["path"] for row in pq.read_table(io.BytesIO(content)).column("audio").to_pylist()]
    with tarfile.open(fileobj=io.BytesIO(content)) as shard:
        return [name for name in shard.getnames() if name.endswith(".wav")]


@pytest.mark.long
def test_exports_that_are_killed_change_nothing_and_are_whole_the_next_time(tmp_path):
    """They wait for whoever reads them, who stops at the first bytes."""
    formats = ("folder", "parquet", "webdataset")
    with running_server(tmp_path / "data") as server, ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=300))
        id = http.post("/training/datasets", json={"name": "Mine"}).raise_for_status().json()["id"]
        noise = np.random.default_rng(0)
        for number in range(4):
            buffer = io.BytesIO()
            soundfile.write(buffer, noise.uniform(-0.5, 0.5, (60 * 44_100, 2)), 44_100, format="WAV")
            file = {"file": (f"song {number}.wav", buffer.getvalue())}
            http.post(f"/training/datasets/{id}/audio", files=file).raise_for_status()
        before = http.get(f"/training/datasets/{id}").json()
        for format in formats:
            export = http.stream("GET", f"/training/datasets/{id}/export", params={"format": format})
            next(stack.enter_context(export).iter_raw())
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with running_server(tmp_path / "data") as server, httpx.Client(base_url=server.url, timeout=300) as http:
        assert http.get(f"/training/datasets/{id}").json() == before
        assert len(temporaries(server)) <= 1  # the running server's own
        for format in formats:
            exported = http.get(f"/training/datasets/{id}/export", params={"format": format}).raise_for_status()
            assert len(names_in(format, exported.content)) == len(before["audio_files"])
