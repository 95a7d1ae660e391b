import tempfile
from pathlib import Path

import pytest

from heartmula_studio.errors import StorageError
from heartmula_studio.files.public_text import hide_data_folder, hide_folder, public
from heartmula_studio.store.records import Failure
from heartmula_studio.store.store import Store

DATA = Path("/srv/music/backend data")


@pytest.fixture(autouse=True)
def hidden():
    hide_data_folder(DATA)
    hide_folder(Path("/srv/models/ckpt"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{DATA}/datasets/a/manifest.json is damaged.", "datasets/a/manifest.json is damaged."),
        (f"{DATA}/.tmp-scratch-1f/adapter_config.json is missing.", "adapter_config.json is missing."),
        (f"The adapter in '{DATA}/checkpoints/a' is", "The adapter in 'checkpoints/a' is"),
        (f"{DATA} cannot be written.", "backend data cannot be written."),
        (f"{tempfile.gettempdir()}/gradio/0a1b/My song.mp3 is empty.", "My song.mp3 is empty."),
        (f"There is no file {Path.home()}/music/a.mp3.", "There is no file a.mp3."),
        ("/srv/models/ckpt/HeartMuLa-oss-3B/config.json is missing.", "config.json is missing."),
        ("/srv/models/ckpt-2/config.json", "/srv/models/ckpt-2/config.json"),
        ("GET /training/datasets lists them; see /docs.", "GET /training/datasets lists them; see /docs."),
        ("https://example.org/srv/models/ckpt/x", "https://example.org/srv/models/ckpt/x"),
    ],
)
def test_files_are_named_as_a_person_knows_them(text, shown):
    assert public(text) == shown


def test_a_failure_that_is_kept_names_no_folder(tmp_path):
    store = Store(tmp_path / "data")
    failure = Failure("storage", f"{store.root}/jobs/a/config.json is not JSON.", f"Look into {store.root}.")
    assert failure == Failure("storage", "jobs/a/config.json is not JSON.", "Look into data.")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=str(tmp_path)):  # what the shell says is whole
        Store(tmp_path / "file")
