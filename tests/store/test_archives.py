"""Archives from anywhere: what is taken, and what is refused."""

import io
import json
import pickle
import struct
import zipfile

import pytest

from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMissingError,
    ChoiceNeededError,
    NotFoundError,
    UploadTooLargeError,
)
from heartmula_studio.store import archives
from heartmula_studio.store.archives import gather, offered_styles, unpack, zipped

ADAPTER = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}
FULL = {"model.safetensors": b"weights", "config.json": b"{}"}


@pytest.fixture
def into(tmp_path):
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def packed(tmp_path):
    def pack(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "archive.zip", "w", compression) as file:
            for name, content in files.items():
                file.writestr(name, content)
        return tmp_path / "archive.zip"

    return pack


def taken(into) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in into.iterdir()}


@pytest.mark.parametrize("folder", ["", "style/", "/abs/", "../../", "C:\\x\\", "a/b/c/", "./"])
@pytest.mark.parametrize(("files", "method"), [(ADAPTER, "lora"), (FULL, "full")])
def test_a_checkpoint_is_taken_from_any_folder_without_its_path(packed, into, tmp_path, files, method, folder):
    archive = packed({folder + name: content for name, content in files.items()})
    before = set(tmp_path.rglob("*"))
    assert unpack(archive, into).method == method
    assert taken(into) == files
    assert set(tmp_path.rglob("*")) - before == set(into.iterdir())


def test_nothing_else_is_taken(packed, into):
    others = [
        "optimizer.pt",
        "training_args.bin",
        "README.md",
        "../evil.py",
        "config.json",
        "__MACOSX/._adapter_config.json",
    ]
    unpack(packed({**ADAPTER, **dict.fromkeys(others, b"x")}), into)
    assert taken(into) == ADAPTER


@pytest.mark.parametrize(
    "weights", ["adapter_model.bin", "model.pt", "x/model.CKPT", "pytorch_model.pth", "a/data.pkl"]
)
def test_pickled_weights_are_refused_by_name(packed, into, weights):
    with pytest.raises(CheckpointError, match="is a pickle") as caught:
        unpack(packed({weights: pickle.dumps(1), "adapter_config.json": b"{}"}), into)
    assert "safetensors" in caught.value.hint
    assert taken(into) == {}


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", CheckpointCorruptError, "neither a zip"),
        (b"PK\3\4 and no more", CheckpointCorruptError, "cannot be read"),
        (b"RIFF....WAVE", CheckpointCorruptError, "neither a zip"),
        (pickle.dumps([1, 2]), CheckpointError, "pickle"),
    ],
    ids=["empty", "cut short", "a song", "pickle"],
)
def test_other_files_are_refused_and_told_what_is_right(tmp_path, into, content, error, says):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(error, match=says) as caught:
        unpack(tmp_path / "file", into)
    assert caught.value.hint


@pytest.mark.parametrize("files", [{}, {"song.mp3": b""}, {"config.json": b"{}"}, {"optimizer.safetensors": b"x"}])
def test_an_archive_without_a_whole_checkpoint_is_refused(packed, into, files):
    with pytest.raises(CheckpointMissingError, match="no checkpoint"):
        unpack(packed(files), into)


def test_the_parts_have_to_lie_in_one_folder(packed, into):
    unpack(packed({"a/adapter_model.safetensors": b"x", "b/adapter_config.json": b"{}"}), into)
    assert taken(into) == {"adapter_model.safetensors": b"x"}


def test_a_safetensors_file_is_a_style_by_itself(packed, into, tmp_path):
    """Whatever it is called, alone or in an archive: what its adapter does to the base is told from its tensors."""
    content = struct.pack("<Q", 2) + b"{}"
    (tmp_path / "night_drive.safetensors").write_bytes(content)
    for number, source in enumerate(
        (tmp_path / "night_drive.safetensors", packed({"loras/night.safetensors": content}))
    ):
        (into / str(number)).mkdir()
        unpack(source, into / str(number))
        assert taken(into / str(number)) == {"adapter_model.safetensors": content}


STEPS = ("checkpoint-20", "checkpoint-100", "best")


def ladder(packed):
    files = {f"run/{step}/{name}": step.encode() for step in STEPS for name in ADAPTER}
    return packed({**files, "run/checkpoint-20/optimizer.safetensors": b"x", "run/training_args.bin": b"x"})


def test_of_several_checkpoints_one_is_chosen(packed, into):
    with pytest.raises(ChoiceNeededError, match="3 checkpoints") as caught:
        unpack(ladder(packed), into)
    assert caught.value.hint == "Choose one of: run/best, run/checkpoint-100, run/checkpoint-20."
    unpack(ladder(packed), into, "checkpoint-100")
    assert set(taken(into).values()) == {b"checkpoint-100"}


def test_what_is_chosen_has_to_be_there(packed, into):
    with pytest.raises(NotFoundError, match="checkpoint-7"):
        unpack(ladder(packed), into, "checkpoint-7")


def test_a_folder_is_read_as_an_archive_is(packed, into, tmp_path):
    with zipfile.ZipFile(ladder(packed)) as file:
        file.extractall(tmp_path / "output")
    assert [style.name for style in offered_styles(tmp_path / "output")] == [f"run/{step}" for step in STEPS[::-1]]
    assert gather(tmp_path / "output", into, "run/best").place == "run/best"
    assert set(taken(into).values()) == {b"best"}


def test_a_bomb_is_stopped_where_it_grows_too_large(packed, into, monkeypatch):
    monkeypatch.setattr(archives, "SMALL_BYTES", 1_000_000)
    monkeypatch.setattr(archives, "CHUNK_BYTES", 10_000)
    archive = packed({**ADAPTER, "adapter_model.safetensors": bytes(20_000_000)})
    with pytest.raises(UploadTooLargeError, match="unpacks to over"):
        unpack(archive, into)
    assert sum(map(len, taken(into).values())) <= 1_000_000


def test_a_huge_config_is_refused(packed, into):
    with pytest.raises(UploadTooLargeError, match=r"adapter_config\.json unpacks to over 10,000,000"):
        unpack(packed({**ADAPTER, "adapter_config.json": bytes(11_000_000)}), into)


@pytest.mark.parametrize("size", [2, 2**31])
def test_a_size_that_lies_is_noticed(packed, into, size):
    raw = bytearray(packed(ADAPTER, zipfile.ZIP_STORED).read_bytes())
    place = raw.rindex(b"PK\1\2", 0, raw.rindex(b"PK\1\2"))
    raw[place + 24 : place + 28] = struct.pack("<L", size)
    archive = into.parent / "lies.zip"
    archive.write_bytes(raw)
    with pytest.raises(CheckpointCorruptError):
        unpack(archive, into)


def test_a_table_of_contents_without_end_is_not_read(tmp_path, into, monkeypatch):
    """Python keeps half a kilobyte for each entry, which costs an attacker 46 bytes."""
    monkeypatch.setattr(archives, "MAX_TABLE_BYTES", 5_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(200):
            file.writestr(f"{number}", b"")
    (tmp_path / "many.zip").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointCorruptError, match="far over"):
        unpack(tmp_path / "many.zip", into)


def test_damaged_encrypted_and_unusual_archives_are_refused(packed, into, tmp_path):
    whole = packed({**ADAPTER, "adapter_model.safetensors": b"0123456789" * 10}, zipfile.ZIP_STORED).read_bytes()
    encrypted = bytearray(whole)
    for start in (whole.index(b"PK\3\4") + 6, whole.index(b"PK\1\2") + 8):
        encrypted[start] |= 1
    unusual = packed(ADAPTER, zipfile.ZIP_BZIP2).read_bytes()
    for number, content in enumerate((whole.replace(b"0123456789", b"0123456798"), bytes(encrypted), unusual)):
        (tmp_path / "bad.zip").write_bytes(content)
        folder = into / str(number)
        folder.mkdir()
        with pytest.raises(CheckpointCorruptError):
            unpack(tmp_path / "bad.zip", folder)


def test_the_provenance_is_read_and_not_taken(packed, into):
    meta = {"base_model": {"name": "nano", "fingerprint": "f00"}, "styles": ["Dub"]}
    provenance = unpack(packed({**ADAPTER, "meta.json": json.dumps(meta).encode()}), into).provenance
    assert (provenance.base_model, provenance.styles) == (meta["base_model"], ("Dub",))
    assert taken(into) == ADAPTER


def overlapping(path, count: int) -> bytes:
    """A zip whose entries all lie on the bytes of the first, which they repeat in the table of contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in ADAPTER.items():
            file.writestr(name, content)
        for number in range(count):
            other = zipfile.ZipInfo(f"note-{number}.txt")
            first = file.filelist[0]
            for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(other, field, getattr(first, field))
            file.filelist.append(other)
    return path.read_bytes()


@pytest.mark.parametrize("count", [1, 500])
def test_entries_that_overlap_are_refused(tmp_path, into, count):
    """**Low**: a zip of 500 overlapping entries."""
    overlapping(tmp_path / "overlapping.zip", count)
    with pytest.raises(CheckpointCorruptError, match="overlaps another file"):
        unpack(tmp_path / "overlapping.zip", into)
    assert taken(into) == {}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path, into):
    """Readers differ in which of them they take."""
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as file:
        for content in (b"{}", b"{ }"):
            file.writestr("style/adapter_config.json", content)
        file.writestr("./style/adapter_model.safetensors", b"weights")
    with pytest.raises(CheckpointCorruptError, match="twice"):
        unpack(tmp_path / "twice.zip", into)


def test_a_download_is_not_compressed(tmp_path):
    """Weights do not shrink; trying cost seconds a gigabyte."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(1 << 20))
    assert sum(map(len, zipped([path], "style"))) > 1 << 20
