"""Checkpoints: listed whole, chosen, packed and deleted."""

import io
import os
import zipfile

import pytest

from heartmula_studio.errors import CheckpointMissingError, ConflictError, NotFoundError, StorageError
from heartmula_studio.store.archives import unpack
from heartmula_studio.store.records import StyleChoice
from heartmula_studio.store.store import Store
from tests.store.conftest import checkpoint_record


def test_publishing_takes_the_weights_and_leaves_them(store, weights, checkpoint):
    folder = store.checkpoints.folder("abc")
    assert {path.name for path in folder.iterdir()} == {"meta.json", "adapter_model.safetensors", "adapter_config.json"}
    assert checkpoint.size_bytes == 3_000_008
    assert store.checkpoints.list() == [store.checkpoints.get("abc")] == [checkpoint]
    assert (weights / "meta.json").read_text() == '{"id": "of the run"}'
    assert (weights / "adapter_model.safetensors").read_bytes() == bytes(3_000_000)


def test_publishing_again_gives_the_first(store, weights, checkpoint):
    (weights / "adapter_model.safetensors").unlink()
    assert store.checkpoints.publish(weights, checkpoint_record("abc", "Another name")) == checkpoint


def test_weights_are_copied_where_they_cannot_be_shared(store, weights, monkeypatch):
    def refuse(*arguments):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    store.checkpoints.publish(weights, checkpoint_record("abc"))
    assert (store.checkpoints.folder("abc") / "adapter_model.safetensors").stat().st_size == 3_000_000


@pytest.mark.parametrize("missing", ["adapter_model.safetensors", "adapter_config.json"])
def test_half_a_checkpoint_is_not_published(store, weights, missing):
    (weights / missing).unlink()
    with pytest.raises(CheckpointMissingError):
        store.checkpoints.publish(weights, checkpoint_record("abc"))
    assert list(store.checkpoints.root.iterdir()) == []


def test_a_full_checkpoint_has_its_shards(store, tmp_path):
    names = ("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    for name in (*names, "model.safetensors.index.json", "optimizer.bin"):
        (tmp_path / name).write_text("{}")
    store.checkpoints.publish(tmp_path, checkpoint_record("abc"))
    kept = {path.name for path in store.checkpoints.folder("abc").iterdir()}
    assert kept == {*names, "model.safetensors.index.json", "meta.json"}


def test_the_choice_survives_a_restart(tmp_path, store, checkpoint):
    assert store.checkpoints.active() is None
    store.checkpoints.set_active("abc", 0.5)
    assert Store(tmp_path / "data").checkpoints.active() == ("abc", 0.5)
    store.checkpoints.set_active(None)
    assert Store(tmp_path / "data").checkpoints.active() is None


def test_a_mix_is_chosen_and_each_style_leaves_it_alone(tmp_path, store, checkpoint, weights):
    store.checkpoints.publish(weights, checkpoint_record("other"))
    mix = (StyleChoice("abc", 0.5, attention_strength=1.5), StyleChoice("other", 2.0))
    store.checkpoints.set_active_styles(mix)
    assert Store(tmp_path / "data").checkpoints.active_styles() == mix
    assert store.checkpoints.active() == ("abc", 0.5)
    with pytest.raises(ConflictError):
        store.checkpoints.delete("other")
    assert store.checkpoints.take_out("abc")
    assert not store.checkpoints.take_out("abc")
    assert store.checkpoints.active_styles() == mix[1:]
    assert store.checkpoints.withdraw("other")
    assert store.checkpoints.active_styles() == ()


def test_the_choice_of_an_earlier_release_is_read(store, checkpoint):
    (store.checkpoints.root / "active.json").write_text('{"schema": 1, "id": "abc", "strength": 0.5}')
    assert store.checkpoints.active_styles() == (StyleChoice("abc", 0.5),)


def test_what_is_active_is_not_deleted(store, checkpoint):
    store.checkpoints.set_active("abc")
    with pytest.raises(ConflictError, match="Deactivate it first"):
        store.checkpoints.delete("abc")
    assert store.checkpoints.list() == [checkpoint]
    store.checkpoints.set_active(None)
    store.checkpoints.delete("abc")
    assert store.checkpoints.list() == []


def test_only_what_is_there_can_be_chosen(store, checkpoint):
    with pytest.raises(NotFoundError):
        store.checkpoints.set_active("another")
    store.checkpoints.set_active("abc")
    for path in store.checkpoints.folder("abc").iterdir():
        path.unlink()
    assert store.checkpoints.active() is None


def test_a_damaged_choice_is_explained(store):
    (store.checkpoints.root / "active.json").write_text("{")
    with pytest.raises(StorageError, match=r"active\.json"):
        store.checkpoints.active()


def test_a_download_is_one_folder_that_can_be_taken_in_again(store, checkpoint, tmp_path):
    filename, pieces = store.checkpoints.export("abc")
    assert filename == "Mine 1.zip"
    archive = tmp_path / filename
    archive.write_bytes(b"".join(pieces))
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        assert file.namelist() == [
            f"Mine 1/{name}" for name in ("meta.json", "adapter_config.json", "adapter_model.safetensors")
        ]
    with store.scratch() as folder:
        taken = unpack(archive, folder)
        assert (taken.method, taken.provenance.base_model) == ("lora", {"name": "nano", "fingerprint": "f00"})
        again = store.checkpoints.publish(folder, checkpoint_record("again"))
    assert again.size_bytes == checkpoint.size_bytes


def test_a_download_comes_in_small_pieces(store, checkpoint):
    sizes = [len(piece) for piece in store.checkpoints.export("abc")[1]]
    assert len(sizes) > 4
    assert max(sizes) < 2 * 2**20


def test_a_download_that_is_broken_off_is_no_error(store, checkpoint):
    pieces = store.checkpoints.export("abc")[1]
    next(pieces)
    pieces.close()


@pytest.mark.parametrize(
    ("name", "filename"),
    [("AC/DC", "AC-DC.zip"), ("..\\..\\x", "-..-x.zip"), ("nul", "_nul.zip"), ("🎵", "🎵.zip"), ("a.b", "a.b.zip")],
)
def test_a_style_of_any_name_can_be_downloaded(store, weights, name, filename):
    store.checkpoints.publish(weights, checkpoint_record("abc", name))
    given, pieces = store.checkpoints.export("abc")
    assert given == filename
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as file:
        assert {entry.split("/")[0] for entry in file.namelist()} == {filename.removesuffix(".zip")}
