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
    "catalogues_dir": None,
    "max_window_sec": 240,
    "max_song_sec": 1200,
    "max_track_versions": 32,
    "preview_songs": 4,
    "idle_engine_sec": 600,
    "max_upload_bytes": 1000,
    "max_files": 50_000,
    "max_import_bytes": 2000,
    "accelerate_config": None,
    "executor": "local",
    "ray_address": None,
    "song_replicas": 0,
    "host": "127.0.0.1",
    "port": 7860,
    "root_path": None,
    "token": None,
    "user_tokens": None,
    "max_songs_per_user": 16,
    "max_jobs_per_user": 8,
    "allow_anonymous": False,
}
ENVIRONMENT = {
    "HEARTMULA_DATA_DIR": "elsewhere",
    "HEARTMULA_BASE_MODEL": "nano",
    "HEARTMULA_DEVICE": "cuda:1",
    "HEARTMULA_CHECKPOINTS_DIR": "~/ckpt",
    "HEARTMULA_CATALOGUES_DIR": "~/catalogues",
    "HEARTMULA_MAX_WINDOW_SEC": "29.76",
    "HEARTMULA_MAX_SONG_SEC": "600",
    "HEARTMULA_MAX_TRACK_VERSIONS": "3",
    "HEARTMULA_PREVIEW_SONGS": "0",
    "HEARTMULA_IDLE_ENGINE_SEC": "60",
    "HEARTMULA_MAX_UPLOAD_BYTES": "5000",
    "HEARTMULA_MAX_FILES": "7",
    "HEARTMULA_MAX_IMPORT_BYTES": "6000",
    "HEARTMULA_ACCELERATE_CONFIG": "two_gpus.yaml",
    "HEARTMULA_EXECUTOR": "ray",
    "HEARTMULA_RAY_ADDRESS": "10.0.0.1:6379",
    "HEARTMULA_SONG_REPLICAS": "2",
    "HEARTMULA_HOST": "0.0.0.0",
    "HEARTMULA_PORT": "8000",
    "HEARTMULA_ROOT_PATH": "/studio/",
    "HEARTMULA_TOKEN": "correct-horse",
    "HEARTMULA_USER_TOKENS": "maria=horse-battery, jon.b=staple=1",
    "HEARTMULA_MAX_SONGS_PER_USER": "3",
    "HEARTMULA_MAX_JOBS_PER_USER": "2",
    "HEARTMULA_ALLOW_ANONYMOUS": "1",
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
    assert (shipped.max_window_sec, shipped.max_song_sec, shipped.max_files) == (240.0, 1200.0, 50_000)
    assert (shipped.host, shipped.port, shipped.token, shipped.allow_anonymous) == ("127.0.0.1", 7860, None, False)


def test_the_shipped_metadata_describes_a_gradio_space():
    metadata = yaml.safe_load(CONFIG_PATH.read_text(encoding="utf-8"))["metadata"]
    assert metadata["title"] == "HeartMuLa Training Studio"
    assert (metadata["sdk"], metadata["app_file"], metadata["license"]) == ("gradio", "app.py", "apache-2.0")
    assert metadata["python_version"] == "3.11"


def test_a_space_installs_the_gradio_that_is_asked_for():
    """A Space installs its SDK beside requirements.txt; another version could not be installed with it."""
    metadata = yaml.safe_load(CONFIG_PATH.read_text(encoding="utf-8"))["metadata"]
    wanted = (CONFIG_PATH.parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio=={metadata['sdk_version']}" in wanted


def test_the_readme_begins_with_the_same_metadata():
    _, front, _ = (CONFIG_PATH.parent / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front) == yaml.safe_load(CONFIG_PATH.read_text(encoding="utf-8"))["metadata"]


def test_the_environment_overrides_the_file(load):
    assert load(ENVIRONMENT) == Settings(
        data_dir=Path("elsewhere"),
        base_model="nano",
        device="cuda:1",
        checkpoints_dir=Path("~/ckpt").expanduser(),
        catalogues_dir=Path("~/catalogues").expanduser(),
        max_window_sec=29.76,
        max_song_sec=600.0,
        max_track_versions=3,
        preview_songs=0,
        idle_engine_sec=60.0,
        max_upload_bytes=5000,
        max_files=7,
        max_import_bytes=6000,
        accelerate_config=Path("two_gpus.yaml"),
        executor="ray",
        ray_address="10.0.0.1:6379",
        song_replicas=2,
        host="0.0.0.0",
        port=8000,
        root_path="/studio",
        token="correct-horse",
        user_tokens={"maria": "horse-battery", "jon.b": "staple=1"},
        max_songs_per_user=3,
        max_jobs_per_user=2,
        allow_anonymous=True,
    )


def test_gradios_own_variables_come_between_the_file_and_ours(load):
    gradio = {"GRADIO_SERVER_NAME": "10.0.0.1", "GRADIO_SERVER_PORT": "7000", "GRADIO_ROOT_PATH": "/studio"}
    assert (load(gradio).host, load(gradio).port, load(gradio).root_path) == ("10.0.0.1", 7000, "/studio")
    both = load({**gradio, "HEARTMULA_HOST": "::1", "HEARTMULA_PORT": "8000"})
    assert (both.host, both.port) == ("::1", 8000)


@pytest.mark.parametrize(
    ("root_path", "prefix", "host"),
    [
        (None, "", ""),
        ("/", "", ""),
        ("/a/b/", "/a/b", ""),
        ("https://music.example:8443/studio", "/studio", "music.example:8443"),
        ("http://music.example", "", "music.example"),
    ],
)
def test_a_root_path_is_a_path_or_an_address(load, root_path, prefix, host):
    loaded = load(root_path=root_path)
    assert (loaded.path_prefix, loaded.public_host) == (prefix, host)


@pytest.mark.parametrize(
    "root_path", ["studio", "//evil.example", "/a b", "/a?b", "ftp://x/", '/"><script>', "https://"]
)
def test_a_root_path_that_is_none_is_refused(load, root_path):
    with pytest.raises(InvalidInputError, match="HEARTMULA_ROOT_PATH"):
        load({"HEARTMULA_ROOT_PATH": root_path})


def test_the_token_is_never_shown(load):
    """It stood in the error message of a token that is not allowed, and in the repr that goes to logs."""
    assert "correct-horse" not in repr(load(token="correct-horse"))
    with pytest.raises(InvalidInputError) as caught:
        load({"HEARTMULA_TOKEN": "my secret"})
    assert "my secret" not in str(caught.value)


@pytest.mark.parametrize(
    "tokens",
    [
        "maria",
        "maria=short",
        "=long-enough",
        "ma ria=long-enough",
        "a=same-token, b=same-token",
        "a=token-one, a=token-two",
    ],
)
def test_tokens_of_users_that_are_none_are_refused_and_never_shown(load, tokens):
    with pytest.raises(InvalidInputError, match="HEARTMULA_USER_TOKENS") as caught:
        load({"HEARTMULA_USER_TOKENS": tokens})
    assert tokens not in str(caught.value)
    assert "long-enough" not in repr(load({"HEARTMULA_USER_TOKENS": "maria=long-enough"}))


def test_tokens_of_users_alone_protect_a_studio(load):
    assert not load({}).has_token
    assert load({"HEARTMULA_TOKEN": "correct-horse"}).has_token
    assert load({"HEARTMULA_USER_TOKENS": "maria=long-enough"}).has_token


def test_an_empty_variable_counts_as_unset(load):
    assert load({"HEARTMULA_DEVICE": ""}, device="cpu").device == "cpu"


def test_paths_in_the_file_start_at_the_file(load, tmp_path):
    loaded = load(checkpoints_dir="ckpt", accelerate_config="gpus.yaml")
    assert (loaded.data_dir, loaded.checkpoints_dir) == (tmp_path / "backend/data", tmp_path / "ckpt")
    assert loaded.accelerate_config == tmp_path / "gpus.yaml"
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
        ("max_files", "0"),
        ("host", " "),
        ("port", "65536"),
        ("port", "http"),
        ("allow_anonymous", "maybe"),
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
