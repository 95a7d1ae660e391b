"""Recordings from other people's encoders, out of Debian packages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import AudioLimits, probe, read_blocks
from heartmula_studio.errors import NotAudioError

pytestmark = pytest.mark.network

SONGS = {
    "vonsh": ("*.mp3", 2, "MP3"),
    "renpy-demo": ("*.ogg", 3, "OGG"),
    "sonic-pi-samples": ("*.flac", 165, "FLAC"),
}


def unpack(package: str, folder: Path) -> Path:
    """Fetch and unpack a package without installing it."""
    if not os.environ.get("HEARTMULA_NETWORK_TESTS"):
        pytest.skip("fetches packages; set HEARTMULA_NETWORK_TESTS=1 to run it")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("needs apt-get and dpkg-deb")
    fetched = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(f"apt-get download {package} failed: {fetched.stderr.strip()[-200:]}")
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder / "files"], check=True)
    return folder / "files"


@pytest.mark.parametrize(("package", "pattern", "count", "audio_format"), [(k, *v) for k, v in SONGS.items()])
def test_real_recordings_are_read_whole(tmp_path, package, pattern, count, audio_format):
    paths = sorted(unpack(package, tmp_path).rglob(pattern))
    assert len(paths) >= count
    for path in paths:
        info = probe(path, AudioLimits(min_sec=0.01))
        assert info.format == audio_format
        samples = sum(block.shape[1] for block in read_blocks(path, 24000, 714240))
        assert samples == -(-info.samples * 24000 // info.sample_rate_hz)


def test_p1_real_mp3_sounds_as_decoded_in_one_piece(tmp_path):
    (path,) = unpack("vonsh", tmp_path).rglob("idle_tune.mp3")
    whole = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T)
    assert torch.equal(torch.cat(list(read_blocks(path, 44100, 30000)), dim=1), whole)


def test_tracker_modules_are_refused_by_name(tmp_path):
    paths = sorted(unpack("tomatoes-data", tmp_path).rglob("*.it"))
    assert paths
    for path in paths:
        with pytest.raises(NotAudioError, match="tracker module"):
            probe(path)
