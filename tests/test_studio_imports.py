"""Styles from elsewhere, taken in and activated by a whole studio on the bundled base, or refused without a trace."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.arch.checkpoints import ASSETS
from heartmula_studio.errors import CheckpointError, StudioError
from heartmula_studio.studio import Studio
from tests.still_studio import settings_for, still_studio, zipped_adapter

NANO = ASSETS / "nano" / "HeartMuLa-nano"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return still_studio(settings_for(tmp_path_factory.mktemp("studio") / "data"))


@pytest.fixture
def content(tmp_path) -> Path:
    """The folder of a good adapter, for a test to spoil."""
    zipped_adapter(tmp_path)
    return tmp_path / "adapter"


def packed(content: Path, name: str = "Fado.zip") -> Path:
    with zipfile.ZipFile(content.parent / name, "w") as file:
        for path in content.iterdir():
            file.write(path, f"style/{path.name}")
    return content.parent / name


def files_of(studio: Studio) -> list[str]:
    root = studio.settings.data_dir
    return sorted(str(path) for path in root.rglob("*") if ".locks" not in path.parts)


def configured(**settings) -> Callable[[Path], None]:
    def change(content: Path) -> None:
        values = json.loads((content / CONFIG).read_text())
        (content / CONFIG).write_text(json.dumps(values | settings))

    return change


def rewritten(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def rewrite(content: Path) -> None:
        tensors = {name: change(tensor) for name, tensor in load_file(content / WEIGHTS).items()}
        save_file(tensors, content / WEIGHTS)

    return rewrite


@pytest.mark.parametrize(
    "spoil",
    [
        configured(r=30_000),
        configured(lora_alpha=None),
        configured(target_modules=["w1"]),
        configured(exclude_modules="(a+)+$", target_modules="(", r="2"),
        configured(init_lora_weights="pissa"),
        rewritten(lambda tensor: tensor * torch.nan),
        rewritten(lambda tensor: tensor * 1e20),
        rewritten(lambda tensor: tensor.int()),
        lambda content: (content / CONFIG).write_text("["),
        lambda content: (content / WEIGHTS).write_bytes(b"\xff" * 1000),
        lambda content: (content / WEIGHTS).rename(content / "adapter_model.bin"),
    ],
)
def test_what_cannot_be_applied_is_refused_by_its_owners_name_and_leaves_nothing(studio, content, spoil):
    """**P**: import takes nothing that cannot be applied, and messages name the upload, not a folder of ours."""
    before = files_of(studio)
    spoil(content)
    with pytest.raises(CheckpointError) as caught:
        studio.checkpoints.import_archive(packed(content), "Elsewhere")
    assert caught.value.status in (404, 422)
    assert caught.value.hint
    assert str(studio.settings.data_dir) not in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert files_of(studio) == before
    assert studio.checkpoints.list() == []


def test_a_full_checkpoint_without_numbers_is_refused(studio, tmp_path):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "config.json").write_bytes((NANO / "config.json").read_bytes())
    weights = load_file(NANO / "model.safetensors")
    weights["muq_linear.bias"][3] = torch.inf
    save_file(weights, folder / "model.safetensors")
    before = files_of(studio)
    with pytest.raises(CheckpointError, match=r"Fado\.zip/model\.safetensors holds values.*muq_linear\.bias"):
        studio.checkpoints.import_archive(packed(folder), "Elsewhere")
    assert files_of(studio) == before


def test_what_was_damaged_since_is_not_activated(studio, content):
    """**P**: activation leaves no engine that cannot sing; the style before stays chosen."""
    good, bad = (studio.checkpoints.import_archive(packed(content), name) for name in ("Good", "Bad"))
    studio.checkpoints.activate(good.id, 0.5)
    rewritten(lambda tensor: tensor * torch.nan)(studio.store.checkpoints.folder(bad.id))
    with pytest.raises(CheckpointError, match=r"^Bad/adapter_model\.safetensors holds values that are not numbers"):
        studio.checkpoints.activate(bad.id)
    assert studio.checkpoints.get(good.id).strength == 0.5
    studio.checkpoints.deactivate(good.id)
    for checkpoint in (good, bad):
        studio.checkpoints.delete(checkpoint.id)


def test_what_is_passed_over_is_said_and_kept(studio, content):
    """**P**: unknown settings are not dropped without a word, nor is a meta.json that tells nothing."""
    configured(setting_of_tomorrow=0.5)(content)
    (content / "meta.json").write_text("{")
    imported = studio.checkpoints.import_archive(packed(content), "Elsewhere")
    said = " ".join(studio.checkpoints.get(imported.id).warnings)
    assert "setting_of_tomorrow" in said
    assert "meta.json" in said
    studio.checkpoints.delete(imported.id)


def test_how_a_style_came_about_survives_export_and_import(studio, content):
    """**P**: rights, losses, recipe and styles; styles that are given count instead."""
    meta = {
        "styles": ["Fado"],
        "losses": {"initial": 4.0, "best": 2.5},
        "rights": [{"filename": "a.mp3", "sha256": "0" * 64, "rights": "licensed"}],
        "recipe": {"config": {"lora": {"rank": 2}}},
    }
    (content / "meta.json").write_text(json.dumps(meta))
    first = studio.checkpoints.import_archive(packed(content), "First")
    filename, pieces = studio.checkpoints.download(first.id)
    download = content.parent / filename
    download.write_bytes(b"".join(pieces))
    second = studio.checkpoints.import_archive(download, "Second")
    renamed = studio.checkpoints.import_archive(download, "Third", ["Dub"])
    for checkpoint in (first, second, renamed):
        stored = studio.checkpoints.get(checkpoint.id)
        assert (stored.losses.initial, stored.losses.best) == (4.0, 2.5)
        assert not any("meta.json" in warning for warning in stored.warnings)
        assert [(track.filename, track.rights) for track in stored.rights] == [("a.mp3", "licensed")]
        assert stored.recipe == meta["recipe"]
        studio.checkpoints.delete(checkpoint.id)
    assert (first.styles, second.styles, renamed.styles) == (("Fado",), ("Fado",), ("Dub",))


def test_errors_of_an_archive_do_not_name_where_it_lies(studio, tmp_path):
    path = tmp_path / ".tmp-upload-1.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(StudioError) as caught:
        studio.checkpoints.import_archive(path, "Elsewhere", filename="mine.zip")
    assert str(tmp_path) not in str(caught.value)
