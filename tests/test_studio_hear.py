"""What the model hears of a song, on the bundled codec."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tags import read_tags, write_tags
from heartmula_studio.errors import AudioError, CancelledError, ConflictError, NotFoundError
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.library import round_trip_preview
from heartmula_studio.studio import Studio
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio

pytestmark = pytest.mark.usefixtures("short_windows")
SONG = SONGS[0].name


@pytest.fixture
def studio(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def dataset_id(studio) -> str:
    return filled(studio, 1).id


def noise(path: Path, seconds: float) -> Path:
    samples = np.random.default_rng(0).normal(scale=0.1, size=int(seconds * 16000))
    soundfile.write(path, samples, 16000)
    return path


def heard_folder(studio: Studio, dataset_id: str) -> Path:
    return studio.store.datasets.folder(dataset_id) / "heard"


def version(path: Path) -> tuple[int, int]:
    """Changes with every writing."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_a_song_is_heard_once_and_kept_beside_it(studio, dataset_id):
    heard = studio.datasets.preview_round_trip(dataset_id, SONG)
    assert heard.path == heard_folder(studio, dataset_id) / f"{SONGS[0].stem}.flac"
    info = soundfile.info(heard.path)
    assert (info.format, info.duration) == ("FLAC", pytest.approx(soundfile.info(SONGS[0]).duration, abs=0.1))
    assert 0.1 < heard.log_mel < 2
    assert studio.datasets.get(dataset_id).audio_files[0].frames == round(info.duration * 12.5)
    made = version(heard.path)
    with Devices(studio.store).generating("cpu"):  # it is free again, and what is kept needs none
        assert studio.datasets.preview_round_trip(dataset_id, SONG) == heard
    assert version(heard.path) == made
    studio.datasets.remove_audio(dataset_id, SONG)
    assert not heard.path.exists()


def test_another_codec_hears_anew_what_tokens_say(studio, dataset_id):
    heard = studio.datasets.preview_round_trip(dataset_id, SONG)
    tokens = studio.store.datasets.tokens_path(dataset_id, SONG)
    right, made = read_tags(heard.path), version(tokens)
    write_tags(heard.path, {"codec_id": "another", "log_mel_distance": "99"})
    assert studio.datasets.preview_round_trip(dataset_id, SONG) == heard
    assert read_tags(heard.path) == right
    assert version(tokens) == made


def test_what_was_heard_of_another_song_of_the_name_does_not_count(studio, dataset_id, tmp_path):
    """A song may be removed while it is listened to, and another one come in its place."""
    studio.datasets.add_file(dataset_id, noise(tmp_path / "noise.wav", 2))
    stale = noise(tmp_path / "noise.flac", 4)
    codec_id = stored_codebook_id(find_base("nano").codec)
    write_tags(stale, {"codec_id": codec_id, "source_sha256": "of another", "log_mel_distance": "99"})
    studio.store.datasets.keep_heard(dataset_id, "noise.wav", stale)
    heard = studio.datasets.preview_round_trip(dataset_id, "noise.wav")
    assert heard.log_mel < 2
    assert soundfile.info(heard.path).duration < 3


def test_of_a_long_song_the_first_minute_is_heard(studio, dataset_id, tmp_path, monkeypatch):
    assert round_trip_preview.MAX_SEC == 60
    monkeypatch.setattr(round_trip_preview, "MAX_SEC", 2.0)  # a minute of it takes half a minute
    studio.datasets.add_file(dataset_id, noise(tmp_path / "long.wav", 5))
    assert soundfile.info(studio.datasets.preview_round_trip(dataset_id, "long.wav").path).duration == 2


def test_the_device_is_shared_with_songs(studio, dataset_id):
    with Devices(studio.store).generating("cpu"), pytest.raises(ConflictError, match="cannot be played now"):
        studio.datasets.preview_round_trip(dataset_id, SONG)
    assert not heard_folder(studio, dataset_id).exists()


def test_what_cannot_be_heard_leaves_nothing(studio, dataset_id):
    with pytest.raises(NotFoundError):
        studio.datasets.preview_round_trip(dataset_id, "none.ogg")
    studio.datasets.audio_path(dataset_id, SONG).write_bytes(b"no music any more")
    with pytest.raises(AudioError):
        studio.datasets.preview_round_trip(dataset_id, SONG)
    assert not heard_folder(studio, dataset_id).exists()
    assert list(studio.store.root.glob(".tmp-*")) == []


def test_a_studio_that_closes_listens_no_longer(studio, dataset_id):
    studio.close()
    with pytest.raises(CancelledError):
        studio.datasets.preview_round_trip(dataset_id, SONG)
    assert not heard_folder(studio, dataset_id).exists()
