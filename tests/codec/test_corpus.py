"""Recordings by other people's encoders are read whole, without a delay, sample for sample as FFmpeg decodes them."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heartmula_studio.codec.audio_file import AudioSource, probe
from heartmula_studio.errors import AudioError, NotAudioError, TruncatedAudioError
from tests.codec.corpus import CORPUS
from tests.codec.corpus_containers import VIDEO
from tests.codec.made_recording import FF, SECONDS, SOURCES, Recording

TOLERANCE = 5e-6
BATCH = 16  # recordings that one FFmpeg decodes


def music(rate_hz: int, channels: int) -> np.ndarray:
    """Two seconds of chords, breath and rests, [samples, channels]: rests fill an MP3's bit reservoir."""
    time = np.arange(rate_hz * SECONDS) / rate_hz
    noise = np.random.default_rng(rate_hz + channels).standard_normal((len(time), channels))
    tones = [
        np.sin(2 * np.pi * f * time) + 0.5 * np.sin(6 * np.pi * f * time) for f in 196.0 * (1 + np.arange(channels))
    ]
    played = (np.sin(2 * np.pi * 1.7 * time + 1) > -0.3) * 0.98 + 0.001
    return (0.15 * np.stack(tones, axis=1) + 0.03 * noise) * played[:, None]


def write_sources(folder: Path) -> None:
    for name, (rate_hz, channels, subtype) in SOURCES.items():
        soundfile.write(folder / f"{name}.wav", music(rate_hz, channels), rate_hz, subtype=subtype)


def make(recording: Recording, folder: Path) -> Path:
    """Make a recording in a folder that holds the sources."""
    path = folder / recording.name.replace(" ", "_")
    environment = os.environ | {"OUT": str(path)}
    command = ["bash", "-euo", "pipefail", "-c", recording.command]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    path.write_bytes(recording.change(path.read_bytes()))
    return path


def missing_tools(recording: Recording) -> list[str]:
    return [tool for tool in recording.tools if shutil.which(tool) is None]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def made(sources) -> Callable[[Recording], Path]:
    """made(recording) → its file; each is made once."""
    return functools.cache(lambda recording: make(recording, sources))


@pytest.fixture(scope="module")
def by_ffmpeg(made, tmp_path_factory) -> Callable[[Recording], np.ndarray]:
    """by_ffmpeg(recording) → FFmpeg's own decode, samples float32 in turns of the channels."""
    judged = [recording for recording in CORPUS if recording.by_ffmpeg and not missing_tools(recording)]
    folder = tmp_path_factory.mktemp("by_ffmpeg")

    @functools.cache
    def decode(batch: int) -> list[Path]:
        paths = [made(recording) for recording in judged[batch * BATCH : (batch + 1) * BATCH]]
        return decoded_by_ffmpeg(paths, folder / str(batch))

    def find(recording: Recording) -> np.ndarray:
        batch, place = divmod(judged.index(recording), BATCH)
        return np.fromfile(decode(batch)[place], np.float32)

    return find


def decoded(path: Path) -> list[np.ndarray]:
    return [block.samples for block in AudioSource.find(path).decode()]


def decoded_by_ffmpeg(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Have one FFmpeg decode several recordings, each to a file of its own; it takes longer to start than to decode."""
    folder.mkdir()
    outputs = [folder / str(number) for number in range(len(paths))]
    command = ["ffmpeg", "-v", "quiet"]
    for path in paths:
        decoder = ["-c:a", "mp2float"] if "MP2" in path.name else []  # its usual one rounds to 16 bits
        command += [*decoder, "-i", str(path)]
    for number, output in enumerate(outputs):
        command += ["-map", f"{number}:a:0", "-c:a", "pcm_f32le", "-f", "f32le", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return outputs


def lateness(heard: np.ndarray, source: np.ndarray) -> int:
    """Samples by which `heard` lags behind, from the cross-correlation of the first channels."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(source))))
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(source, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    return lag - size if lag > size // 2 else lag


@pytest.mark.parametrize("recording", CORPUS, ids=lambda recording: recording.name)
def test_a_recording_is_read_whole_and_in_time(sources, made, by_ffmpeg, recording: Recording):
    if missing := missing_tools(recording):
        pytest.skip(f"needs {', '.join(missing)}")
    path = made(recording)
    info, blocks = probe(path), decoded(path)
    assert sum(block.shape[1] for block in blocks) == info.samples
    if recording.samples is not None:
        assert info.samples == recording.samples
    if recording.source is not None:
        source = soundfile.read(sources / f"{recording.source}.wav", always_2d=True)[0]
        assert lateness(np.concatenate([b[0] for b in blocks])[: len(source)], source[:, 0]) == 0
    if recording.by_ffmpeg:
        expected = (
            by_ffmpeg(recording).reshape(-1, info.channels).T[:, : recording.samples]
        )  # it fills up the last frame of an M4A
        assert info.samples == expected.shape[1]
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), expected, atol=TOLERANCE, rtol=0)


CUT = (
    *(("AIFF by sox", size) for size in (20, 60, 200_000)),
    *(("CAF pcm_s16le", size) for size in (20, 60, 200_000)),
    *(("M4A AAC, index first", size) for size in (20, 500, 20_000)),
    *(("M4A AAC", 20_000), ("MP4 of fragments", 20_000), ("M4A ALAC", 100_000), ("raw AAC", 20_000), ("raw AAC", 3)),
    *(("WavPack", size) for size in (20, 60, 100_000)),
    *(("WMA 2", size) for size in (60, 500, 20_000)),
    *((name, size) for name in ("MKA FLAC", "WebM Opus") for size in (4, 20, 60, 500, 10_000)),
    *((name, size) for name in ("MP4 Opus", "MOV s24be") for size in (20, 500, 10_000)),
    *((name, size) for name in ("AVI video with PCM", "OGG video with Vorbis", "WMV video") for size in (60, 20_000)),
)


@pytest.mark.parametrize(("name", "size"), CUT)
def test_a_recording_that_is_cut_off_says_so(made, tmp_path, name, size):
    recording = next(recording for recording in CORPUS if recording.name == name)
    if missing := missing_tools(recording):
        pytest.skip(f"needs {', '.join(missing)}")
    path = tmp_path / "recording"
    path.write_bytes(made(recording).read_bytes()[:size])
    with pytest.raises(TruncatedAudioError if size > 3 else NotAudioError):
        probe(path)


REFUSED = (
    Recording("CAF Opus", f"{FF} dat.wav -c:a libopus -f caf $OUT", None),
    Recording("ambisonic Opus", f"{FF} six.wav -af pan=4c\\|c0=c0\\|c1=c1\\|c2=c2\\|c3=c3 -c:a libopus "
              "-mapping_family 2 -f ogg $OUT", None),
    Recording("OGG video without sound", f"{FF} cd.wav {VIDEO} -an -c:v libtheora -f ogg $OUT", None),
    Recording("AVI video without sound", f"{FF} cd.wav {VIDEO} -an -c:v mpeg4 -f avi $OUT", None),
    Recording("damaged raw AAC", f"{FF} cd.wav -c:a aac -f adts $OUT", None, change=lambda c: c[:9000] + c[9050:]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("recording", "says"),
    list(
        zip(
            REFUSED,
            ("Opus inside", "ambisonic", "video without sound", "holds no sound", "no AAC frame at"),
            strict=True,
        )
    ),
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_recording_that_would_be_read_wrong_is_refused_by_name(sources, recording, says):
    if missing := missing_tools(recording):
        pytest.skip(f"needs {', '.join(missing)}")
    with pytest.raises(AudioError, match=says):
        probe(make(recording, sources))
