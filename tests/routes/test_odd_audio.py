"""Files that people really have beside their songs, or instead of them: each is taken in or refused in plain words."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from tests.codec.recording_edits import with_right_checksums
from tests.routes.test_failures import failure
from tests.routes.test_uploads import names_of, upload
from tests.studio_server import temporaries

RATE_HZ = 16000
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(4000)
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"

Odd = tuple[str, bytes]


def noise(seconds: float = 2.0, rate_hz: int = RATE_HZ, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Every file its own, or it would be refused as the same song twice."""
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate_hz), channels))


def written(samples: np.ndarray, rate_hz: int = RATE_HZ, format: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


def changed(content: bytes, offset: int, piece: bytes) -> bytes:
    return content[:offset] + piece + content[offset + len(piece) :]


def id3(num_bytes: int, claimed_bytes: int | None = None) -> bytes:
    """An ID3v2.4 tag; its size is written in seven bits a byte."""
    size = num_bytes if claimed_bytes is None else claimed_bytes
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(num_bytes)


def wave(fmt: bytes, data: bytes) -> bytes:
    """A WAV file of these chunks' contents."""
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def wave_format(tag: int = 1, channels: int = 1, rate_hz: int = RATE_HZ, align: int = 2, bits: int = 16) -> bytes:
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align, align, bits)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


SOUND = (noise(seed=1)[:, 0] * 32767).astype("<i2").tobytes()
WAV = written(noise(seed=2))
FLAC = written(noise(5.0, seed=3), format="FLAC")
AIFF, CAF = (written(noise(seed=40 + i), format=format) for i, format in enumerate(("AIFF", "CAF")))
OGG = written(noise(5.0, seed=4), format="OGG", subtype="VORBIS")
OPUS = written(noise(5.0, 48000, seed=5), 48000, "OGG", "OPUS")
MP3 = written(noise(5.0, seed=6), format="MP3", subtype="MPEG_LAYER_III")
NOT_FINITE = noise(seed=7)
NOT_FINITE[RATE_HZ] = np.nan
INFINITE = noise(seed=8)
INFINITE[RATE_HZ] = -np.inf
OGG_VIDEO = with_right_checksums(b"OggS\x00\x02" + bytes(20) + b"\x01\x2a\x80theora" + bytes(35))
OLD_TAG = b"TAG" + b"A title".ljust(125, b"\x00")

ACCEPTED: dict[str, Odd] = {
    "8 kHz": ("phone.wav", written(noise(rate_hz=8000, seed=20), 8000)),
    "192 kHz": ("studio.wav", written(noise(rate_hz=192000, seed=21), 192000)),
    "8 bit": ("sampler.wav", written(noise(seed=22), subtype="PCM_U8")),
    "24 bit": ("mix.wav", written(noise(seed=23), subtype="PCM_24")),
    "64-bit float": ("daw.wav", written(noise(seed=24), subtype="DOUBLE")),
    "A-law": ("line.wav", written(noise(seed=25), subtype="ALAW")),
    "IMA ADPCM": ("game.wav", written(noise(seed=26), subtype="IMA_ADPCM")),
    "seven channels": ("surround.wav", written(noise(channels=7, seed=27))),
    "RF64": ("long.wav", written(noise(seed=28), format="RF64")),
    "WAV named MP3": ("song.mp3", written(noise(seed=29))),
    "FLAC named WAV": ("master.wav", written(noise(seed=30), format="FLAC")),
    "MP3 without a suffix": ("track 01", written(noise(seed=31), format="MP3")),
    "Opus named OGG": ("voice.ogg", OPUS),
    "WAV of unknown length": ("stream.wav", changed(written(noise(seed=33)), 40, b"\xff\xff\xff\xff")),
    "picture in the tag": ("cover.mp3", id3(len(JPEG))[: -len(JPEG)] + JPEG + written(noise(seed=34), format="MP3")),
    "two tags": ("twice tagged.mp3", id3(100) + id3(3000) + written(noise(seed=35), format="MP3") + OLD_TAG),
    "garbage before the first frame": ("ripped.mp3", bytes(range(128)) * 8 + written(noise(seed=36), format="MP3")),
    "AIFF": ("mac.aiff", AIFF),
    "CAF": ("logic.caf", CAF),
    "hidden on a Mac": ("._song.wav", written(noise(seed=37))),
}

# The file, and the code of the error that names what is wrong with it.
REFUSED: dict[str, tuple[Odd, str]] = {
    "zero bytes": (("nothing.wav", b""), "empty_audio"),
    "one byte": (("dot.wav", b"R"), "not_audio"),
    "only zeros": (("unwritten.wav", bytes(100_000)), "not_audio"),
    "JPEG": (("cover.mp3", JPEG), "not_audio"),
    "JPEG behind a tag": (("art.mp3", id3(200) + JPEG), "not_audio"),
    "web page": (("download.wav", HTML), "not_audio"),
    "tracker module": (("tune.mod", bytes(1080) + b"M.K." + bytes(4000)), "not_audio"),
    "Impulse Tracker module": (("tune.it", b"IMPM" + b"title".ljust(4000, b"\x00")), "not_audio"),
    "MIDI": (("notes.mid", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60" + bytes(100)), "not_audio"),
    "AIFF cut in half": (("mac.aiff", AIFF[: len(AIFF) // 2]), "truncated_audio"),
    "CAF cut in half": (("logic.caf", CAF[: len(CAF) // 2]), "truncated_audio"),
    "M4A without sound": (("phone.m4a", box(b"ftyp", b"M4A \x00\x00\x00\x00") + box(b"moov", bytes(200))), "not_audio"),
    "Git LFS pointer": (
        ("song.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
        "not_audio",
    ),
    "M4P": (("bought.m4p", box(b"ftyp", b"M4P \x00\x00\x00\x00") + box(b"mdat", bytes(500))), "protected_audio"),
    "encrypted samples": (
        (
            "bought.m4a",
            box(b"ftyp", b"M4A \x00\x00\x00\x00") + box(b"moov", box(b"stsd", bytes(4) + box(b"drms", b""))),
        ),
        "protected_audio",
    ),
    "moov box of 4 GB": (
        ("huge.m4a", box(b"ftyp", b"M4A \x00\x00\x00\x00") + b"\xff\xff\xff\xffmoov"),
        "truncated_audio",
    ),
    "playlist": (("list.mp3", b"#EXTM3U\n#EXTINF:1,A song\nsong.mp3\n"), "not_audio"),
    "WAV cut in half": (("half.wav", WAV[: len(WAV) // 2]), "truncated_audio"),
    "WAV cut in its header": (("stub.wav", WAV[:30]), "truncated_audio"),
    "FLAC cut in half": (("half.flac", FLAC[: len(FLAC) // 2]), "truncated_audio"),
    "FLAC cut in its header": (("stub.flac", FLAC[:20]), "truncated_audio"),
    "FLAC with a damaged frame": (("scratch.flac", changed(FLAC, len(FLAC) // 2, bytes(64))), "truncated_audio"),
    "FLAC with a huge metadata block": (("meta.flac", b"fLaC\x04\xff\xff\xff" + bytes(100)), "truncated_audio"),
    "OGG cut in half": (("half.ogg", OGG[: len(OGG) // 2]), "truncated_audio"),
    "OGG with garbage": (("garbage.ogg", OGG[:200] + np.random.default_rng(9).bytes(len(OGG))), "truncated_audio"),
    "OGG of nothing but its mark": (("mark.ogg", b"OggS"), "truncated_audio"),
    "OGG video": (
        ("film.ogg", with_right_checksums(b"OggS\x00\x02" + bytes(20) + b"\x01\x2a\x80theora" + bytes(35))),
        "not_audio",
    ),
    "MP3 cut in half": (("half.mp3", MP3[: len(MP3) // 2]), "truncated_audio"),
    "only a tag": (("tag.mp3", id3(1000)), "truncated_audio"),
    "a tag that claims 256 MB": (("claim.mp3", id3(100, claimed_bytes=2**28 - 1)), "truncated_audio"),
    "silent": (("room.wav", written(np.zeros(3 * RATE_HZ))), "silent_audio"),
    "NaN": (("nan.wav", written(NOT_FINITE, subtype="FLOAT")), "corrupt_audio"),
    "infinity": (("inf.wav", written(INFINITE, subtype="FLOAT")), "corrupt_audio"),
    "absurdly loud": (("loud.wav", written(noise(seed=42) * 1e6, subtype="FLOAT")), "corrupt_audio"),
    "no samples": (("empty.wav", written(np.zeros(0))), "empty_audio"),
    "tenth of a second": (("click.wav", written(noise(0.1, seed=43))), "audio_too_short"),
    "4 kHz": (("watch.wav", written(noise(rate_hz=4000, seed=44), 4000)), "audio_rate"),
    "384 kHz": (("bat.wav", written(noise(rate_hz=384000, seed=45), 384000)), "audio_rate"),
    "no channels": (("zero.wav", wave(wave_format(channels=0), SOUND)), "corrupt_audio"),
    "60,000 channels": (("many.wav", wave(wave_format(channels=60000), SOUND)), "corrupt_audio"),
    "rate of 0": (("frozen.wav", wave(wave_format(rate_hz=0), SOUND)), "corrupt_audio"),
    "rate of 4 GHz": (("fast.wav", wave(wave_format(rate_hz=2**32 - 1, align=1), SOUND)), "corrupt_audio"),
    "unknown encoding": (("odd.wav", wave(wave_format(tag=0x4242), SOUND)), "corrupt_audio"),
    "format chunk of 4 GB": (("fmt.wav", changed(WAV, 16, b"\xf0\xff\xff\xff")), "truncated_audio"),
    "data chunk of 2 GB": (("claim.wav", changed(WAV, 40, b"\x00\xff\xff\x7e")), "truncated_audio"),
    "no data chunk": (("hollow.wav", WAV[:36]), "truncated_audio"),
}


@pytest.fixture
def tidy(client, server, dataset_id) -> Callable[[list[str]], None]:
    """Checks that the dataset holds these songs, and that nothing else is left in the data folder."""

    def check(filenames: list[str]) -> None:
        assert names_of(client, dataset_id) == filenames
        audio = server.data_dir / "datasets" / dataset_id / "audio"
        assert sorted(path.name for path in audio.iterdir()) == sorted(filenames)
        assert temporaries(server) == before

    before = temporaries(server)
    return check


@pytest.mark.parametrize("what", ACCEPTED)
def test_an_odd_song_is_taken_in(client, dataset_id, tidy, what):
    name, content = ACCEPTED[what]
    song = upload(client, dataset_id, name, content)
    assert song.status_code == 201, song.text
    assert song.json()["duration_sec"] >= 1.9
    tidy([song.json()["filename"]])


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_song_is_refused_with_a_hint(client, dataset_id, tidy, what):
    (name, content), code = REFUSED[what]
    answer = client.post(f"/training/datasets/{dataset_id}/audio", files={"file": (name, content)})
    assert 400 <= answer.status_code < 500, answer.text
    error = failure(answer, answer.status_code, code)
    assert error["hint"]
    assert ".tmp-" not in error["message"]
    tidy([])
