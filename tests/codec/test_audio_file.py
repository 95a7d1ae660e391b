"""Reading and checking recordings of every allowed kind, and refusing the broken ones."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from heartmula_studio.codec.audio_file import AudioLimits, probe, read_blocks
from heartmula_studio.errors import (
    AudioMissingError,
    AudioRateError,
    AudioTooLongError,
    AudioTooShortError,
    CorruptAudioError,
    EmptyAudioError,
    NotAudioError,
    SilentAudioError,
    TruncatedAudioError,
)
from tests.codec.recording_edits import with_right_checksums

ROOT = Path(__file__).parent.parent.parent
FORMATS = {
    "MP3": {"name": "a.mp3"},
    "WAV": {"name": "a.wav"},
    "FLAC": {"name": "a.flac"},
    "OGG": {"name": "a.ogg"},
    "OGG Opus": {"name": "a.opus", "rate_hz": 48000, "format": "OGG", "subtype": "OPUS"},
}
WAV_KINDS = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM")


def read_all(path, rate_hz=24000, block_samples=24000) -> torch.Tensor:
    return torch.cat(list(read_blocks(path, rate_hz, block_samples)), dim=1)


@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_every_format_is_read(write_song, settings):
    path = write_song(**settings)
    info = probe(path)
    assert (info.format, info.channels) == ("OGG" if path.suffix == ".opus" else path.suffix[1:].upper(), 2)
    assert info.duration_sec == pytest.approx(2.0, abs=0.01)
    assert info.samples == round(info.duration_sec * info.sample_rate_hz)
    assert read_all(path).shape == (2, -(-info.samples * 24000 // info.sample_rate_hz))


@pytest.mark.parametrize("subtype", WAV_KINDS)
def test_every_kind_of_wav_holds_the_same_sound(write_song, subtype):
    reference = read_all(write_song("float.wav", subtype="FLOAT"))
    heard = read_all(write_song("other.wav", subtype=subtype))
    error = (heard[:, : reference.shape[1]] - reference).square().mean().sqrt()
    assert error < 0.02 * reference.square().mean().sqrt() + 2**-7


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000])
def test_reading_in_blocks_equals_resampling_the_whole_file(write_song, rate_hz):
    path = write_song("a.wav", seconds=1.37, rate_hz=rate_hz, subtype="FLOAT")
    blocks = list(read_blocks(path, 24000, 7001))
    assert {block.shape[1] for block in blocks[:-1]} == {7001}
    assert 0 < blocks[-1].shape[1] <= 7001
    whole = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T)
    expected = torchaudio.functional.resample(whole, rate_hz, 24000)
    torch.testing.assert_close(torch.cat(blocks, dim=1), expected, atol=1e-6, rtol=0)


def test_mono_goes_to_both_sides(write_song):
    left, right = read_all(write_song("mono.wav", channels=1))
    assert torch.equal(left, right)
    assert left.abs().max() > 0.3


def test_a_wav_named_mp3_or_raw_is_read_for_what_it_is(write_song, tmp_path):
    path = write_song("a.wav")
    for name in ("a.mp3", "a.raw", "a"):
        renamed = path.rename(tmp_path / name)
        assert probe(renamed).format == "WAV"
        path = renamed


def test_flac_behind_an_id3_tag_is_read(write_song):
    path = write_song("a.flac")
    path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256) + path.read_bytes())
    assert probe(path).duration_sec == pytest.approx(2.0)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_cut_file_is_refused(write_song, settings, share):
    path = write_song(seconds=4.0, **settings)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TruncatedAudioError, match=path.name):
        probe(path)
    with pytest.raises(TruncatedAudioError):
        read_all(path)


@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_file_cut_inside_its_header_is_refused(write_song, settings):
    path = write_song(**settings)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(TruncatedAudioError, match=path.name):
        probe(path)


@pytest.mark.parametrize("settings", [{"format": "RF64"}, {"endian": "BIG"}], ids=["RF64", "RIFX"])
def test_rare_wav_containers_are_read_and_checked(write_song, settings):
    path = write_song("a.wav", **settings)
    assert probe(path).duration_sec == 2.0
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TruncatedAudioError):
        probe(path)


def test_damage_in_the_middle_of_an_ogg_is_found(write_song):
    path = write_song("a.ogg", seconds=5.0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(TruncatedAudioError, match="damaged: its OGG page at byte"):
        probe(path)


def test_ogg_without_its_beginning_is_refused(write_song):
    path = write_song("a.ogg", seconds=5.0)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"OggS", len(content) // 2) :])
    with pytest.raises(TruncatedAudioError, match="beginning is missing"):
        probe(path)


@pytest.mark.parametrize(("mark", "kind"), [(b"\x80theora", "an OGG video"), (b"Speex   ", "Speex speech")])
def test_p11_other_ogg_is_named_for_what_it_is(write_song, mark, kind):
    path = write_song("a.ogg")
    content = bytearray(path.read_bytes())
    content[28 : 28 + len(mark)] = mark
    path.write_bytes(with_right_checksums(bytes(content)))
    with pytest.raises(NotAudioError, match=kind):
        probe(path)


def test_p2_a_chain_of_different_rates_is_refused_with_its_time(write_song, tmp_path):
    chain = b"".join(write_song(f"{rate_hz}.ogg", rate_hz=rate_hz).read_bytes() for rate_hz in (44100, 48000))
    (tmp_path / "chain.ogg").write_bytes(chain)
    with pytest.raises(AudioRateError, match=r"at 2\.0 s, from 44,100 to 48,000 Hz"):
        probe(tmp_path / "chain.ogg")


def test_wav_written_by_a_stream_is_read_to_its_end(write_song):
    """ffmpeg writes 0xFFFFFFFF as the size when it cannot go back to the header: that is no truncation."""
    path = write_song("a.wav")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert probe(path).duration_sec == 2.0


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_p5_p6_length_that_a_stream_could_not_know_is_no_truncation(write_song, name):
    """A pipe's encoder cannot go back to its header: 0 samples there mean "unknown" (RFC 9639, section 8.2)."""
    path = write_song(name)
    content = bytearray(path.read_bytes())
    if name == "a.wav":
        at = content.index(b"data") + 4
        content[at : at + 4] = bytes(4)
    else:
        content[21] &= 0xF0
        content[22:26] = bytes(4)
    path.write_bytes(content)
    assert probe(path).samples == 2 * 44100
    path.write_bytes(content[:-100])
    if name == "a.flac":
        with pytest.raises(TruncatedAudioError, match=r"decoding stops after \d"):
            probe(path)


def test_damage_in_the_middle_of_a_flac_is_found(write_song):
    path = write_song("a.flac", seconds=4.0)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(TruncatedAudioError, match=r"decoding stops after \d"):
        probe(path)


@pytest.mark.parametrize(("tag", "codec"), [(0xFF, "AAC"), (0x161, "Windows Media Audio"), (0x2000, "AC-3")])
def test_wav_with_frames_that_it_does_not_mark_is_named(write_song, tag, codec):
    """P4's kind: of AAC inside WAV, a fraction of a second was read without a word."""
    path = write_song("song.wav")
    content = bytearray(path.read_bytes())
    content[20:22] = tag.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(NotAudioError, match=f"a WAV file with {codec} inside"):
        probe(path)


def test_wav_of_an_unknown_encoding_cannot_be_decoded(write_song):
    path = write_song("a.wav")
    content = bytearray(path.read_bytes())
    content[20:22] = b"\x55\xaa"
    path.write_bytes(content)
    with pytest.raises(CorruptAudioError, match="cannot be decoded"):
        probe(path)


def test_empty_recording_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), 44100)
    with pytest.raises(EmptyAudioError, match="holds no sound"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize(("level", "says"), [(0.0, "all samples are zero"), (5e-4, "its peak is -66 dB")])
def test_silence_is_refused(tmp_path, level, says):
    soundfile.write(tmp_path / "a.wav", np.full((88200, 2), level), 44100, subtype="FLOAT")
    with pytest.raises(SilentAudioError, match=says):
        probe(tmp_path / "a.wav")


def test_quiet_music_is_not_silence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((88200, 2), 0.004), 44100)
    assert probe(tmp_path / "a.wav").duration_sec == 2.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    samples = np.full((88200, 2), 0.1, np.float32)
    samples[70000, 1] = value
    soundfile.write(tmp_path / "a.wav", samples, 44100, subtype="FLOAT")
    with pytest.raises(CorruptAudioError, match="invalid values"):
        probe(tmp_path / "a.wav")


def test_absurd_levels_are_refused(tmp_path):
    """A float file scaled like 16-bit integers would swamp the encoder."""
    soundfile.write(tmp_path / "a.wav", np.full((88200, 2), 32768.0), 44100, subtype="FLOAT")
    with pytest.raises(CorruptAudioError, match="32,768"):
        probe(tmp_path / "a.wav")


def test_length_limits(write_song):
    path = write_song("a.mp3", seconds=3.0)
    with pytest.raises(AudioTooLongError, match="too long"):
        probe(path, AudioLimits(max_sec=2.5))
    with pytest.raises(AudioTooShortError, match=r"3\.\d\d s"):
        probe(path, AudioLimits(min_sec=5.0))


def test_absurdly_long_file_is_refused_without_decoding_it(tmp_path):
    """Two days of silence compress to little, but would take minutes to decode."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 8000, subtype="PCM_U8")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    num_bytes = 2 * 24 * 3600 * 8000
    content[at : at + 4] = num_bytes.to_bytes(4, "little")
    with open(path, "wb") as file:
        file.write(content[: at + 4])
        file.truncate(at + 4 + num_bytes)
    with pytest.raises(AudioTooLongError, match=r"2880\.0 minutes"):
        probe(path)


@pytest.mark.parametrize("rate_hz", [4000, 384000])
def test_strange_sampling_rates_are_refused(write_song, rate_hz):
    with pytest.raises(AudioRateError, match=f"{rate_hz:,} Hz"):
        probe(write_song("a.wav", rate_hz=rate_hz))


def test_missing_file_and_picture(tmp_path):
    with pytest.raises(AudioMissingError):
        probe(tmp_path / "a.mp3")
    (tmp_path / "a.mp3").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    with pytest.raises(NotAudioError):
        list(read_blocks(tmp_path / "a.mp3", 24000, 24000))


MEMORY_SCRIPT = """
import re, sys
from heartmula_studio.codec.audio_file import probe, read_blocks

def peak_after(path):
    probe(path)
    for block in read_blocks(path, 24000, 714240):
        pass
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

short, long = map(peak_after, sys.argv[1:])
print(long - short)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from Linux's /proc")
def test_memory_does_not_grow_with_the_song(tmp_path):
    """Held whole, the long one would be 138 MB of resampled samples."""
    for name, minutes in (("short", 1), ("long", 12)):
        noise = np.random.default_rng(0).standard_normal(60 * 8000) * 0.1
        soundfile.write(tmp_path / f"{name}.wav", np.tile(noise, minutes), 8000)
    command = [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path / "short.wav"), str(tmp_path / "long.wav")]
    grown_kib = int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert grown_kib < 50 * 1024
