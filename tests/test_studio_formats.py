"""A finished song in other formats, under a title, with a cover, in an archive."""

import shutil
import zipfile
from collections.abc import Iterator

import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.cover import Cover, read_cover
from heartmula_studio.codec.tags import PICTURE, read_tags
from heartmula_studio.errors import (
    AudioError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.conversion import retitle
from heartmula_studio.store.generations import FORMATS
from heartmula_studio.store.records import Generation, utc_now
from heartmula_studio.studio import Studio
from tests.pictures import picture
from tests.still_studio import settings_for, still_studio

TAGS = {"comment": "Made here", "heartmula_receipt": '{"seed": 7, "words": "süß"}'}


@pytest.fixture
def studio(tmp_path) -> Iterator[Studio]:
    studio = still_studio(settings_for(tmp_path / "data"))
    yield studio
    studio.close()


@pytest.fixture
def song(studio) -> Generation:
    """A finished song of two seconds."""
    song = Generation(studio.store.generations.new_id(), {}, "wav", utc_now(), status="completed")
    studio.store.generations.create(song)
    waveform = 0.5 * torch.sin(torch.arange(96000) / 20).expand(2, -1)
    with AudioWriter(studio.songs.path(song.id), 48000, TAGS) as writer:
        writer.write(waveform)
    return song


@pytest.mark.parametrize("format", ["mp3", "flac", "opus"])
def test_a_song_is_converted_once_and_deleted_whole(studio, song, format):
    path = studio.songs.path(song.id, format)
    info = soundfile.info(path)
    assert (info.format, info.samplerate) == ("OGG" if format == "opus" else format.upper(), 48000)
    assert info.duration == pytest.approx(2, abs=0.1)
    assert {name: text for name, text in read_tags(path).items() if name != "encoder"} == TAGS
    if format == "flac":
        assert (soundfile.read(path)[0] == soundfile.read(studio.songs.path(song.id))[0]).all()
    before = path.stat().st_ino
    assert studio.songs.path(song.id, format) == path
    assert path.stat().st_ino == before
    assert studio.songs.path(song.id, "wav") == studio.songs.path(song.id)
    studio.songs.delete(song.id)
    assert list(studio.store.generations.root.iterdir()) == []


@pytest.mark.parametrize("suffix", [".wav", ".24bit.wav", ".flac", ".mp3", ".opus"])
def test_a_title_goes_into_the_file_whose_sound_stays(tmp_path, suffix):
    path = tmp_path / f"song{suffix}"
    with AudioWriter(path, 48000, TAGS | {"title": "Before"}) as writer:
        writer.write(torch.rand(2, 48000) - 0.5)
    before = soundfile.read(path, dtype="int32")[0]
    retitle(path, "Žal")
    assert {name: text for name, text in read_tags(path).items() if name != "encoder"} == TAGS | {"title": "Žal"}
    assert (soundfile.read(path, dtype="int32")[0] == before).all()
    assert soundfile.SoundFile(path).title == "Žal"
    assert list(tmp_path.iterdir()) == [path]


def test_a_cover_goes_into_the_file_of_every_format_and_out_of_it(studio, song, tmp_path):
    image = picture(tmp_path / "cover.png")
    before = soundfile.read(studio.songs.path(song.id), dtype="int32")[0]
    mp3 = studio.songs.path(song.id, "mp3")
    covered = studio.songs.set_cover(song.id, image)
    assert not mp3.exists()
    assert studio.songs.cover_path(song.id).read_bytes() == image.read_bytes()
    assert (soundfile.read(studio.songs.path(song.id), dtype="int32")[0] == before).all()
    studio.songs.rename(song.id, "Dawn")
    for format in FORMATS:
        path = studio.songs.path(song.id, format)
        assert read_cover(path) == Cover.read(image), format
        assert read_tags(path)["title"] == "Dawn"
        assert PICTURE not in read_tags(path)
    other = studio.songs.set_cover(song.id, picture(tmp_path / "cover.jpg"))
    assert (covered.cover.endswith(".png"), other.cover.endswith(".jpg")) == (True, True)
    assert studio.songs.set_cover(song.id, None).cover == ""
    assert read_cover(studio.songs.path(song.id, "opus")) is None
    assert not list(studio.songs.path(song.id).parent.glob("cover-*"))
    with pytest.raises(NotFoundError, match="no cover"):
        studio.songs.cover_path(song.id)


def test_songs_are_named_and_taken_out_together(studio, song, tmp_path):
    flac = studio.songs.path(song.id, "flac")
    for title in ("", " ", "a" * 201):
        with pytest.raises(InvalidInputError):
            studio.songs.rename(song.id, title)
    assert studio.songs.rename(song.id, " AC/DC \n").title == "AC/DC"
    assert not flac.exists()
    assert read_tags(studio.songs.path(song.id, "flac"))["title"] == "AC/DC"
    other = Generation(studio.store.generations.new_id(), {}, "wav", utc_now(), "completed", title="ac-dc")
    studio.store.generations.create(other, lambda folder: shutil.copy(studio.songs.path(song.id), folder))
    name, pieces = studio.songs.archive([song.id, other.id, song.id])
    (tmp_path / name).write_bytes(b"".join(pieces))
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert archive.namelist() == ["AC-DC.wav", "ac-dc (2).wav"]
        assert archive.read("AC-DC.wav") == studio.songs.path(song.id).read_bytes()
    waiting = studio.songs.generate(SongRequest())
    for ids, error in (([], InvalidInputError), (["none"], NotFoundError), ([song.id, waiting.id], ConflictError)):
        with pytest.raises(error):
            studio.songs.archive(ids)
    with pytest.raises(ConflictError, match="being made"):
        studio.songs.rename(waiting.id, "Too early")


def test_what_cannot_be_converted_leaves_nothing(studio, song):
    with pytest.raises(InvalidInputError, match="wav, flac, mp3"):
        studio.songs.path(song.id, "../../exe")
    path = studio.songs.path(song.id)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AudioError):
        studio.songs.path(song.id, "mp3")
    with pytest.raises(AudioError):
        studio.songs.rename(song.id, "Lost")
    assert studio.songs.get(song.id).title == ""
    assert {file.name for file in path.parent.iterdir()} == {"manifest.json", "song.wav"}


def test_there_is_no_format_of_a_song_that_is_not_made(studio):
    with pytest.raises(ConflictError, match="queued"):
        studio.songs.path(studio.songs.generate(SongRequest()).id, "mp3")
