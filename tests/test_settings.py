from pathlib import Path

import pytest
import yaml

from heartmula_studio import settings
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.settings import CONFIG_PATH, Settings

DEFAULTS = {
    "data_dir": "backend/data",
    "base_model": "auto",
    "device": "auto",
    "checkpoints_dir": None,
    "max_window_sec": 240,
    "max_song_sec": 1200,
    "max_upload_bytes": 1000,
}


@pytest.fixture
def load(tmp_path):
    """Loads settings from a file with DEFAULTS changed by `values`, and the given environment."""

    def load_with(environ: dict[str, str] | None = None, **values) -> Settings:
        path = tmp_path / "spaces_config.yaml"
        path.write_text(yaml.safe_dump({"metadata": {}, "settings": {**DEFAULTS, **values}}))
        return Settings.load(environ or {}, path)

    return load_with


def test_the_shipped_file_holds_the_defaults():
    shipped = Settings.load(environ={})
    assert shipped.data_dir == CONFIG_PATH.parent / "backend/data"
    assert (shipped.base_model, shipped.device, shipped.checkpoints_dir) == ("auto", "auto", None)
    assert (shipped.max_window_sec, shipped.max_song_sec) == (240.0, 1200.0)


def test_the_shipped_metadata_describes_a_gradio_space():
    metadata = yaml.safe_load(CONFIG_PATH.read_text(encoding="utf-8"))["metadata"]
    assert metadata["title"] == "HeartMuLa Training Studio"
    assert (metadata["sdk"], metadata["app_file"], metadata["license"]) == ("gradio", "app.py", "apache-2.0")


def test_the_environment_overrides_the_file(load):
    environ = {
        "HEARTMULA_DATA_DIR": "elsewhere",
        "HEARTMULA_BASE_MODEL": "nano",
        "HEARTMULA_DEVICE": "cuda:1",
        "HEARTMULA_CHECKPOINTS_DIR": "~/ckpt",
        "HEARTMULA_MAX_WINDOW_SEC": "29.76",
        "HEARTMULA_MAX_SONG_SEC": "600",
        "HEARTMULA_MAX_UPLOAD_BYTES": "5000",
    }
    assert load(environ) == Settings(
        Path("elsewhere"), "nano", "cuda:1", Path("~/ckpt").expanduser(), 29.76, 600.0, 5000
    )


def test_an_empty_variable_counts_as_unset(load):
    assert load({"HEARTMULA_DEVICE": ""}, device="cpu").device == "cpu"


def test_folders_in_the_file_start_at_the_file(load, tmp_path):
    loaded = load(checkpoints_dir="ckpt")
    assert (loaded.data_dir, loaded.checkpoints_dir) == (tmp_path / "backend/data", tmp_path / "ckpt")
    assert load(data_dir="/srv/data").data_dir == Path("/srv/data")


def test_a_space_with_storage_keeps_data_there(load, tmp_path, monkeypatch):
    storage = tmp_path / "data"
    monkeypatch.setattr(settings, "SPACE_STORAGE", storage)
    assert load({"SPACE_ID": "me/studio"}).data_dir == tmp_path / "backend/data"
    storage.mkdir()
    assert load({"SPACE_ID": "me/studio"}).data_dir == storage
    assert load({}).data_dir == tmp_path / "backend/data"
    assert load({"SPACE_ID": "me/studio", "HEARTMULA_DATA_DIR": "/srv"}).data_dir == Path("/srv")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_dir", " "),
        ("base_model", " "),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("max_window_sec", "four minutes"),
        ("max_window_sec", "0"),
        ("max_window_sec", "nan"),
        ("max_song_sec", "inf"),
        ("max_upload_bytes", "1.5"),
        ("max_upload_bytes", "-1"),
    ],
)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(load, name, value):
    variable = f"HEARTMULA_{name.upper()}"
    with pytest.raises(InvalidInputError) as caught:
        load({variable: value})
    assert variable in caught.value.message
    assert repr(value) in caught.value.message
    assert caught.value.hint.startswith("Allowed: ")


@pytest.mark.parametrize(
    ("name", "value"), [("data_dir", None), ("device", 3), ("max_window_sec", True), ("max_upload_bytes", [1])]
)
def test_a_bad_value_in_the_file_is_named(load, name, value):
    with pytest.raises(InvalidInputError, match=rf"{name} in .*spaces_config\.yaml"):
        load(**{name: value})


def test_a_misspelt_name_in_the_file_is_refused(load):
    with pytest.raises(InvalidInputError, match="divice"):
        load(divice="cpu")


@pytest.mark.parametrize("content", [b"", b"settings: 3", b"settings: {", b"\xff\xfe\x00", b"- a"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"broken\.yaml"):
        Settings.load({}, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"gone\.yaml"):
        Settings.load({}, tmp_path / "gone.yaml")
