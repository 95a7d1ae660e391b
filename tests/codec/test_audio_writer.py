"""Files are written whole, with tags, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import mutagen
import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import AudioWriter, probe, read_blocks
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import InvalidInputError
from tests.codec.conftest import melody

ROOT = Path(__file__).parent.parent.parent
TAGS = {"title": "Żółw 🎵", "comment": json.dumps({"seed": 7, "tags": "piano, happy"}), "receipt": "{}\nsecond line"}
NAMES = ("song.wav", "song.flac", "song.mp3", "song.opus", "song.24bit.wav", "SONG.MP3")
LOSSY = (".mp3", ".opus")
FULL = {"artist": "Ω", "album": "A", "genre": "fado, slow", "date": "2026-11-29", "lyrics": "[Verse]\nla", **TAGS}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again(tmp_path, name):
    waveform = torch.from_numpy(melody(3.0, 48000)).T
    with AudioWriter(tmp_path / name, 48000, FULL) as writer:
        for block in waveform.split(10007, dim=1):
            writer.write(block)
    info, suffix = probe(tmp_path / name), Path(name).suffix.lower()
    kind = "OGG" if suffix == ".opus" else suffix.strip(".").upper()
    assert (info.format, info.sample_rate_hz, info.samples) == (kind, 48000, 144000)
    heard = torch.cat(list(read_blocks(tmp_path / name, 48000, 48000)), dim=1)
    bits = 24 if "24bit" in name else 16
    assert (heard - waveform).abs().max() < (0.1 if suffix in LOSSY else 2 ** (1 - bits))
    assert {key: text for key, text in read_tags(tmp_path / name).items() if key != "encoder"} == FULL
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_tags_lie_where_other_programs_look(tmp_path):
    for name in ("song.mp3", "song.wav"):
        with AudioWriter(tmp_path / name, 24000, TAGS) as writer:
            writer.write(torch.zeros(2, 24000))
        tags = mutagen.File(tmp_path / name).tags
        assert str(tags["TIT2"]) == TAGS["title"]
        assert str(tags.getall("COMM")[0]) == TAGS["comment"]
    with soundfile.SoundFile(tmp_path / "song.wav") as file:
        assert (file.title, file.comment) == (TAGS["title"], TAGS["comment"])


@pytest.mark.parametrize("name", NAMES[:5])
def test_no_tags_no_tag_block(tmp_path, name):
    with AudioWriter(tmp_path / name, 24000) as writer:
        writer.write(torch.zeros(2, 24000))
    assert read_tags(tmp_path / name).keys() <= {"encoder"}


@pytest.mark.parametrize("name", NAMES[:2])
def test_too_loud_is_clipped_not_wrapped(tmp_path, name):
    with AudioWriter(tmp_path / name, 24000) as writer:
        writer.write(torch.tensor([[2.0, -3.0, 1.0, -1.0], [0.5, 1.0001, -1.0001, 0.0]]))
    samples = soundfile.read(tmp_path / name)[0].T
    expected = [[1, -1, 1, -1], [0.5, 1, -1, 0]]
    assert abs(samples - expected).max() < 2**-14


@pytest.mark.parametrize("name", NAMES[:3])
def test_failure_leaves_nothing_and_keeps_the_old_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"the song of yesterday")

    def fail():
        with AudioWriter(tmp_path / name, 24000, TAGS) as writer:
            writer.write(torch.zeros(2, 24000))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert list(tmp_path.iterdir()) == [tmp_path / name]
    assert (tmp_path / name).read_bytes() == b"the song of yesterday"


def test_unknown_suffix_is_refused_before_any_work(tmp_path):
    with pytest.raises(InvalidInputError, match=r"\.wav, \.flac, \.mp3"):
        AudioWriter(tmp_path / "song.m4a", 48000)
    with pytest.raises(InvalidInputError, match="does not support a sampling rate of 44,100"):
        AudioWriter(tmp_path / "song.opus", 44100)


def test_file_without_tags_reads_as_no_tags(tmp_path):
    (tmp_path / "notes.txt").write_text("no audio")
    assert read_tags(tmp_path / "notes.txt") == {}


FULL_DISK = """
import pathlib, resource, sys, torch
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.errors import StorageError

noise = torch.rand(2, 96000, generator=torch.Generator().manual_seed(0)) - 0.5

def write(path, tags, limit_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, -1))
    try:
        with AudioWriter(path, 48000, tags) as writer:
            writer.write(noise[:, :48000])
            writer.write(noise[:, 48000:])
        return path.stat().st_size
    except StorageError as error:
        assert "is the disk full?" in str(error), error
        assert list(path.parent.iterdir()) == [], list(path.parent.iterdir())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        path.unlink(missing_ok=True)

for name in sys.argv[2:]:
    path = pathlib.Path(sys.argv[1]) / name
    whole_bytes = write(path, {}, -1)
    limits = [100, whole_bytes // 2, *(whole_bytes - missing for missing in (8000, 1000, 1))]
    silent = [limit for limit in limits if write(path, {}, limit)]
    assert silent == [], (name, whole_bytes, silent)
    assert write(path, {"comment": "x" * 10_000}, whole_bytes) is None, name
print("all reported")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited by a POSIX call")
def test_full_disk_is_reported_and_leaves_nothing(tmp_path):
    """Wherever it gets full: at once, half-way, in the last bytes, which closing writes, or while tagging."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), *NAMES[:4]]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.stdout == "all reported\n", result.stderr
