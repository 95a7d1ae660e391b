"""Forms with a file, in whole and in pieces, well-made and broken."""

import asyncio
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request

from heartmula_studio.routes.failures import handle_failures
from heartmula_studio.routes.multipart import MAX_FIELD_BYTES, MAX_FIELDS, OVERHEAD_BYTES, streamed_form

BOUNDARY = "x" * 20
CONTENT_TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
MAX_FILE_BYTES = 1000


class Received:
    def __init__(self, filename: str):
        self.filename, self.content, self.is_open = filename, b"", True

    def write(self, chunk: bytes) -> None:
        self.content += chunk


@pytest.fixture
def received() -> list[Received]:
    return []


@pytest.fixture
def post(received):
    """Posts to a small application that answers with what it understood."""
    app = FastAPI()
    handle_failures(app)

    @contextmanager
    def open_file(filename: str):
        received.append(Received(filename))
        try:
            yield received[-1]
        finally:
            received[-1].is_open = False

    @app.post("/")
    async def read(request: Request) -> dict:
        async with streamed_form(request, open_file, MAX_FILE_BYTES) as form:
            return {"tags": form.names("tags"), "caption": form.text("caption"), "was_open": form.file.is_open}

    async def post_to_app(**request) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as client:
            return await client.post("/", **request)

    return lambda **request: asyncio.run(post_to_app(**request))


def part(disposition: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
SONG = part('name="file"; filename="song.wav"', b"RIFF")


def test_file_and_fields_in_any_order(post, received):
    answer = post(files={"file": ("lä.wav", b"abc")}, data={"caption": "Grüße\n", "tags": ["a, b", "c"]})
    assert answer.json() == {"tags": ["a", "b", "c"], "caption": "Grüße\n", "was_open": True}
    assert (received[0].filename, received[0].content, received[0].is_open) == ("lä.wav", b"abc", False)
    body = SONG + part('name="caption"', b"after") + END
    assert post(content=body, headers=CONTENT_TYPE).json()["caption"] == "after"


def test_every_way_of_cutting_a_form_gives_the_same(post, received):
    body = part('name="caption"', "ä".encode()) + SONG + END

    for size in (1, 2, 3, 7, 50):
        received.clear()

        async def pieces(size=size):
            for start in range(0, len(body), size):
                yield body[start : start + size]

        assert post(content=pieces(), headers=CONTENT_TYPE).json()["caption"] == "ä"
        assert received[0].content == b"RIFF"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends too early"),
        (SONG, "ends too early"),
        (SONG[:-9], "ends too early"),
        (b"nonsense", "not a form"),
        (b"--" + b"y" * 20 + b"\r\n", "not a form"),
        (part('name="caption"', b"only") + END, "no file"),
        (part('name="file"', b"no filename") + END, "no file"),
        (part('name="song"; filename="song.wav"', b"x") + END, "`song`"),
        (SONG + SONG + END, "one file"),
        (part('name="caption"', b"\xff\xfe") + SONG + END, "UTF-8"),
        (part('name="file"; filename="\xff"', b"").replace("ÿ".encode(), b"\xff") + END, "UTF-8"),
    ],
)
def test_what_is_no_form_is_refused_and_nothing_stays(post, received, body, said):
    answer = post(content=body, headers=CONTENT_TYPE)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert said in f"{error['message']} {error['hint']}"
    assert not any(file.is_open for file in received)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"],
)
def test_another_content_type_is_refused(post, content_type):
    answer = post(content=SONG + END, headers={"Content-Type": content_type})
    assert answer.status_code == 422
    assert answer.json()["error"]["hint"] == "Send multipart/form-data."


def test_an_endless_boundary_is_refused(post):
    answer = post(content=b"x", headers={"Content-Type": f"multipart/form-data; boundary={'b' * 5000}"})
    assert answer.status_code == 422


def test_texts_and_their_number_are_limited(post):
    huge = part('name="caption"', b"x" * (MAX_FIELD_BYTES + 1)) + SONG + END
    assert post(content=huge, headers=CONTENT_TYPE).status_code == 413
    many = part('name="tags"', b"x") * MAX_FIELDS + SONG + END
    assert post(content=many, headers=CONTENT_TYPE).status_code == 413


def test_a_request_that_says_it_is_too_long_is_not_read(post, received):
    headers = {**CONTENT_TYPE, "Content-Length": str(MAX_FILE_BYTES + OVERHEAD_BYTES + 1)}
    answer = post(content=SONG + END, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "upload_too_large"
    assert not received
