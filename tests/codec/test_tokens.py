"""Token files: readable by plain torch, refused when broken."""

import resource
import signal
from dataclasses import replace

import pytest
import torch

from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.codec.track_version import TrackVersion, VersionCodes
from heartmula_studio.errors import InvalidInputError, NotFoundError


@pytest.fixture
def tokens():
    codes = torch.randint(0, 8192, (8, 50), dtype=torch.int16)
    return Tokens(codes, 12.5, "heartcodec-0123456789ab", "f" * 64, 3.97)


def test_saved_file_is_the_documented_dict(tokens, tmp_path):
    tokens.save(tmp_path / "song.pt")
    record = torch.load(tmp_path / "song.pt", weights_only=True)
    assert torch.equal(record.pop("codes"), tokens.codes)
    assert record == {
        "frame_rate": 12.5,
        "codec": "heartcodec-0123456789ab",
        "source_sha256": "f" * 64,
        "source_sec": 3.97,
        "ends": False,
    }


def test_loading_gives_the_same_record(tokens, tmp_path):
    tokens.save(tmp_path / "new folder" / "song.pt")
    loaded = Tokens.load(tmp_path / "new folder" / "song.pt")
    assert torch.equal(loaded.codes, tokens.codes)
    assert (loaded.frame_rate_hz, loaded.codec_id) == (12.5, tokens.codec_id)
    assert (loaded.source_sha256, loaded.source_sec) == (tokens.source_sha256, tokens.source_sec)


def test_other_versions_lie_in_the_same_file(tokens, tmp_path):
    slower = VersionCodes(TrackVersion(0.95, 0.03), tokens.codes[:, :40].contiguous())
    replace(tokens, versions=(slower,)).save(tmp_path / "song.pt")
    (loaded,) = Tokens.load(tmp_path / "song.pt").versions
    assert loaded.version == slower.version
    assert torch.equal(loaded.codes, slower.codes)
    record = torch.load(tmp_path / "song.pt", weights_only=True)
    for broken in ({"speed": 1.0}, {**record["versions"][0], "codes": tokens.codes.float()}, 3):
        torch.save(record | {"versions": [broken]}, tmp_path / "song.pt")
        with pytest.raises(InvalidInputError, match="of the wrong kind"):
            Tokens.load(tmp_path / "song.pt")


def test_a_slice_is_saved_without_the_rest(tokens, tmp_path):
    """torch.save writes a view's whole storage unless it is copied first."""
    long = torch.zeros(8, 100_000, dtype=torch.int16)
    Tokens(long[:, :10], 12.5, "c", "s", 0.8).save(tmp_path / "song.pt")
    assert (tmp_path / "song.pt").stat().st_size < 10_000


def test_missing_damaged_and_foreign_files_are_refused(tokens, tmp_path):
    with pytest.raises(NotFoundError, match=r"song\.pt"):
        Tokens.load(tmp_path / "song.pt")
    tokens.save(tmp_path / "song.pt")
    content = (tmp_path / "song.pt").read_bytes()
    (tmp_path / "song.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInputError, match="damaged"):
        Tokens.load(tmp_path / "song.pt")
    torch.save({"latents": torch.zeros(3)}, tmp_path / "song.pt")
    with pytest.raises(InvalidInputError, match="holds no tokens"):
        Tokens.load(tmp_path / "song.pt")
    torch.save(
        {"codes": torch.zeros(8, 3), "frame_rate": 12.5, "codec": "c", "source_sha256": "", "source_sec": 1.0},
        tmp_path / "song.pt",
    )
    with pytest.raises(InvalidInputError, match="int16"):
        Tokens.load(tmp_path / "song.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("codes", [[1, 2]]),
        ("frame_rate", "12.5"),
        ("frame_rate", -12.5),
        ("frame_rate", float("nan")),
        ("codec", None),
        ("source_sha256", 7),
        ("source_sec", None),
        ("source_sec", float("inf")),
    ],
)
def test_values_of_a_wrong_kind_are_refused(tokens, tmp_path, key, value):
    path = tmp_path / "song.pt"
    tokens.save(path)
    torch.save(torch.load(path, weights_only=True) | {key: value}, path)
    with pytest.raises(InvalidInputError, match=key):
        Tokens.load(path)


@pytest.mark.parametrize("size_bytes", [0, 100, 1500])
def test_a_full_disk_is_an_oserror_and_leaves_nothing(tokens, tmp_path, size_bytes):
    """It once was a RuntimeError, and so a bug in the program."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            tokens.save(tmp_path / "song.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert list(tmp_path.iterdir()) == []
