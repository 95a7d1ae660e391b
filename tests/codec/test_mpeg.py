"""MP3 files whose headers say too little, too much, or nothing."""

import time

import numpy as np
import pytest
import soundfile
import torch

from heartmula_studio.codec import parts
from heartmula_studio.codec.audio_file import AudioSource, probe, read_blocks
from heartmula_studio.codec.mpeg import MpegSection
from heartmula_studio.codec.parts import find_parts
from heartmula_studio.errors import AudioRateError, CorruptAudioError, NotAudioError, TruncatedAudioError


def sections_of(path) -> tuple[MpegSection, ...]:
    return find_parts(path, "MP3")[1]


def section_of(path) -> MpegSection:
    (section,) = sections_of(path)
    return section


@pytest.fixture
def variable_mp3(tmp_path):
    """12 s of variable bitrate, loud then nearly silent."""
    loudness = np.repeat([0.2, 1e-6], 6 * 44100)[:, None]
    samples = np.random.default_rng(0).standard_normal((len(loudness), 2)) * loudness
    path = tmp_path / "song.mp3"
    with soundfile.SoundFile(path, "w", 44100, 2, format="MP3", compression_level=0.2, bitrate_mode="VARIABLE") as file:
        file.write(samples)
    return path


def strip_xing(path):
    path.write_bytes(path.read_bytes()[section_of(path).start :])


def test_scan_counts_the_frames_that_the_header_promises(variable_mp3):
    section = section_of(variable_mp3)
    assert section.frames == section.promised_frames
    assert section.duration_sec(section.frames) == pytest.approx(12.0, abs=0.06)


@pytest.mark.parametrize(("rate_hz", "channels"), [(48000, 2), (44100, 1), (22050, 2), (24000, 1), (8000, 1)])
def test_scan_knows_every_version_and_channel_mode(write_song, rate_hz, channels):
    section = section_of(write_song("a.mp3", rate_hz=rate_hz, channels=channels))
    assert section.header.sample_rate_hz == rate_hz
    assert section.frames == section.promised_frames
    assert section.num_samples == 2 * rate_hz


def test_song_without_frame_count_keeps_its_end(variable_mp3):
    """libsndfile guesses the length from the first bitrates: of this file it would read less than two thirds."""
    strip_xing(variable_mp3)
    with soundfile.SoundFile(variable_mp3) as file:
        assert len(file.read()) < 8 * 44100
    assert probe(variable_mp3).duration_sec == pytest.approx(12.0, abs=0.06)
    samples = sum(block.shape[1] for block in read_blocks(variable_mp3, 44100, 44100))
    assert samples == pytest.approx(12 * 44100, abs=2500)


def test_a_lost_frame_count_does_not_change_the_sound(write_song):
    """Only the delay of encoder and decoder stays in front, which the lost header had told to drop."""
    path = write_song("a.mp3")
    delay_samples = section_of(path).skipped_samples
    with_count = torch.cat(list(read_blocks(path, 44100, 44100)), dim=1)
    strip_xing(path)
    without = torch.cat(list(read_blocks(path, 44100, 44100)), dim=1)
    assert delay_samples > 0
    assert torch.equal(without[:, delay_samples + 5000 : delay_samples + 80000], with_count[:, 5000:80000])


@pytest.mark.parametrize("rates_hz", [(44100, 48000), (48000, 44100), (22050, 44100)])
def test_p3_a_changing_sampling_rate_is_named_with_its_time(write_song, tmp_path, rates_hz):
    """Libsndfile reads as far as the change and says nothing."""
    joined = b"".join(write_song(f"{rate_hz}.mp3", rate_hz=rate_hz).read_bytes() for rate_hz in rates_hz)
    (tmp_path / "joined.mp3").write_bytes(joined)
    first, second = rates_hz
    with pytest.raises(AudioRateError, match=rf"at 2\.0 s, from {first:,} to {second:,} Hz"):
        probe(tmp_path / "joined.mp3")


def test_a_joined_file_that_changes_to_mono_is_read_whole(write_song, tmp_path):
    stereo, mono = write_song("a.mp3"), write_song("b.mp3", channels=1)
    (tmp_path / "joined.mp3").write_bytes(stereo.read_bytes() + mono.read_bytes())
    heard = torch.cat(list(read_blocks(tmp_path / "joined.mp3", 44100, 44100)), dim=1)
    assert heard.shape == (2, 4 * 44100)
    assert torch.equal(heard[0, 2 * 44100 :], heard[1, 2 * 44100 :])


def test_p10_a_free_format_mp3_is_named(tmp_path):
    """Its header does not tell how long its frames are, and few players know it."""
    frame = b"\xff\xfb\x00\xc4" + bytes(600)
    (tmp_path / "song.mp3").write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256) + 50 * frame)
    with pytest.raises(NotAudioError, match="free-format MP3"):
        probe(tmp_path / "song.mp3")


def test_joined_files_are_read_to_the_end(write_song):
    path = write_song("a.mp3", seconds=3.0)
    path.write_bytes(2 * path.read_bytes())
    assert probe(path).samples == 2 * 3 * 44100


def test_bytes_before_the_first_frame_are_skipped(write_song):
    path = write_song("a.mp3")
    path.write_bytes(bytes(3000) + path.read_bytes())
    assert probe(path).samples == 2 * 44100


def test_tags_at_the_end_are_no_damage(write_song):
    path = write_song("a.mp3")
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert probe(path).duration_sec == pytest.approx(2.0, abs=0.01)


def test_cut_is_found_without_a_frame_count(variable_mp3):
    strip_xing(variable_mp3)
    variable_mp3.write_bytes(variable_mp3.read_bytes()[:60000])
    with pytest.raises(TruncatedAudioError, match="inside an MP3 frame"):
        probe(variable_mp3)


def test_cut_between_two_frames_is_found_by_the_frame_count(variable_mp3):
    content = variable_mp3.read_bytes()
    last = content.rfind(b"\xff\xfb", 0, len(content) // 2)
    variable_mp3.write_bytes(content[:last])
    with pytest.raises(TruncatedAudioError, match=r"promises 12\.\d s and only \d"):
        probe(variable_mp3)


def test_tag_without_sound_is_cut_off(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256))
    with pytest.raises(TruncatedAudioError, match="before its first MP3 frame"):
        probe(path)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xfb\x90\x00"], ids=["sync bytes", "frame headers"])
def test_endless_false_starts_are_given_up_soon(tmp_path, filler):
    """Four megabytes of them took half a minute."""
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256) + filler * (2**22 // len(filler)))
    start = time.process_time()
    with pytest.raises(NotAudioError, match="unknown kind"):
        probe(path)
    assert time.process_time() - start < 5


def test_song_before_endless_false_starts_is_read(write_song):
    path = write_song("a.mp3")
    path.write_bytes(path.read_bytes() + b"\0" + b"\xff\xfb\x90\x00" * 2**20)
    start = time.process_time()
    section = section_of(path)
    assert section.frames == section.promised_frames
    assert time.process_time() - start < 5


def test_a_file_of_absurdly_many_songs_is_refused(write_song, monkeypatch):
    monkeypatch.setattr(parts, "MAX_PARTS", 3)
    path = write_song("a.mp3", seconds=0.2)
    path.write_bytes(4 * path.read_bytes())
    with pytest.raises(CorruptAudioError, match="more than 3 files"):
        probe(path)


def test_an_mp3_is_searched_once_for_checking_and_reading(write_song, monkeypatch):
    path, scans = write_song("a.mp3"), []
    scan = parts.mpeg.scan
    monkeypatch.setattr(parts.mpeg, "scan", lambda *args: scans.append(path) or scan(*args))
    source = AudioSource.find(path)
    samples = source.probe().samples
    assert sum(block.shape[1] for block in source.read_blocks(44100, 44100)) == samples
    assert scans == [path]
