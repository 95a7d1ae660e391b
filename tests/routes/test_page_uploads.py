"""Gradio's upload, which page and clients use: limits, full disks and broken connections, without a trace."""

import asyncio
import dataclasses
import resource
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from heartmula_studio.routes import multipart
from heartmula_studio.routes.failures import handle_failures
from heartmula_studio.routes.uploads import Uploads, upload_router
from heartmula_studio.settings import Settings

MAX_SONG, MAX_IMPORT = 1000, 5000


@pytest.fixture
def uploads(tmp_path) -> Uploads:
    from gradio.route_utils import FileUploadProgress

    settings = dataclasses.replace(Settings.load({}), max_upload_bytes=MAX_SONG, max_import_bytes=MAX_IMPORT)
    return Uploads(tmp_path / "uploads", settings, FileUploadProgress(), set())


@pytest.fixture
def app(uploads) -> FastAPI:
    app = FastAPI()
    handle_failures(app)
    app.include_router(upload_router(uploads))
    return app


@pytest.fixture
def upload(app):
    """upload(("song.mp3", b"…"), …) → the answer."""

    def upload_files(*files: tuple[str, bytes], query: str = "", **request) -> httpx.Response:
        async def sent() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                given = [("files", file) for file in files]
                return await client.post(f"/gradio_api/upload{query}", files=given or None, **request)

        return asyncio.run(sent())

    return upload_files


def left(uploads: Uploads) -> list[Path]:
    return list(uploads.folder.glob("*"))


def test_files_lie_under_their_names_in_gradios_folder(upload, uploads):
    answer = upload(("Lied Ü.mp3", b"one"), ("../../b.txt", b"two"), query="?upload_id=7")
    paths = [Path(path) for path in answer.json()]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert [path.name for path in paths] == ["Lied Ü.mp3", "b.txt"]
    assert {path.parent.parent for path in paths} == {uploads.folder}
    assert uploads.kept == set(map(str, paths))
    assert uploads.progress.is_done("7")


@pytest.mark.parametrize(
    ("name", "limit", "setting"),
    [
        ("song.wav", MAX_SONG, "HEARTMULA_MAX_UPLOAD_BYTES"),
        ("style.ZIP", MAX_IMPORT, "HEARTMULA_MAX_IMPORT_BYTES"),
        ("songs.parquet", MAX_IMPORT, "HEARTMULA_MAX_IMPORT_BYTES"),
    ],
)
def test_only_what_is_imported_may_be_larger_than_a_song(upload, uploads, name, limit, setting):
    """Under attack: Gradio's upload took 34 GB of anything by default."""
    assert upload((name, bytes(limit))).status_code == 200
    kept = left(uploads)
    answer = upload(("first.mp3", b"x"), (name, bytes(limit + 1)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "upload_too_large"
    assert f"{limit:,}" in answer.text
    assert setting in answer.text
    assert left(uploads) == kept


def test_a_length_that_is_too_much_is_refused_before_anything_is_read(upload, monkeypatch, uploads):
    monkeypatch.setattr(multipart, "OVERHEAD_BYTES", 0)
    assert upload(("a.zip", bytes(2 * MAX_IMPORT))).status_code == 413
    monkeypatch.setattr(multipart, "disk_usage", lambda folder: type("Usage", (), {"free": 500}))
    answer = upload(("a.mp3", bytes(900)))
    assert answer.status_code == 507
    assert "room for 500" in answer.json()["error"]["message"]
    assert left(uploads) == []


def test_a_full_disk_is_said_and_forgotten_once_there_is_room(upload, uploads):
    """Under attack: a bare 500, also after space was freed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        answer = upload(("a.mp3", bytes(900)), query="?upload_id=7")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.status_code == 507
    assert answer.json()["error"]["code"] == "storage"
    assert "make room" in answer.json()["error"]["hint"]
    assert left(uploads) == []
    assert uploads.progress.is_done("7")
    assert upload(("a.mp3", bytes(900))).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(app, uploads):
    """Under attack: Gradio kept the parts."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp3"\r\n\r\n' + bytes(100)
    came = iter([{"type": "http.request", "body": head, "more_body": True}, {"type": "http.disconnect"}])
    seen, sent = [], []

    async def receive():
        seen.append(len(left(uploads)))
        return next(came)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"host", b"x")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers, "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert seen == [0, 1]
    assert sent[0]["status"] == 499
    assert left(uploads) == []


@pytest.mark.parametrize(
    "request_", [{"content": b"nonsense"}, {"data": {"text": "x"}}, {"json": {}}, {"content": b"--b\r\n"}]
)
def test_what_is_no_upload_is_refused(upload, uploads, request_):
    assert upload(**request_).status_code == 422
    assert left(uploads) == []
