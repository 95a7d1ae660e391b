"""Songs on their way in and out: big, odd, broken off, in parts."""

import io
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from tests.recordings import SONGS
from tests.routes.test_failures import failure
from tests.studio_server import MAX_UPLOAD_BYTES

MEGABYTE = 2**20
SONG = SONGS[0]


def upload(client, dataset_id: str, name: str = SONG.name, content: bytes = b"", **fields) -> httpx.Response:
    content = content or SONG.read_bytes()
    return client.post(f"/training/datasets/{dataset_id}/audio", files={"file": (name, content)}, data=fields)


def names_of(client, dataset_id: str) -> list[str]:
    return [song["filename"] for song in client.get(f"/training/datasets/{dataset_id}").json()["audio_files"]]


def form(num_bytes: int, chunk: bytes = bytes(MEGABYTE)):
    """A form with a file of zeros, in pieces, and its headers."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="big.wav"\r\n\r\n'
    end = b"\r\n--b--\r\n"

    def pieces():
        yield head
        for _ in range(num_bytes // len(chunk)):
            yield chunk
        yield end

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return pieces(), headers, len(head) + num_bytes + len(end)


def test_a_gigabyte_goes_through_without_staying_in_memory(client, server, dataset_id):
    process = psutil.Process(server.process.pid)
    upload(client, dataset_id)  # so that everything an upload needs is loaded
    before, highest = process.memory_info().rss, 0

    def watched(pieces):
        nonlocal highest
        for i, piece in enumerate(pieces):
            if i % 16 == 0:
                highest = max(highest, process.memory_info().rss)
            yield piece

    pieces, headers, _ = form(1024 * MEGABYTE)
    answer = client.post(
        f"/training/datasets/{dataset_id}/audio", content=watched(pieces), headers=headers, timeout=300
    )
    failure(answer, 415, "not_audio")
    highest = max(highest, process.memory_info().rss)
    assert highest - before < 64 * MEGABYTE
    assert names_of(client, dataset_id) == [SONG.name]
    assert len(list((server.data_dir / "datasets" / dataset_id / "audio").iterdir())) == 1


def test_what_says_it_is_too_big_is_refused_before_it_is_sent(client, server, dataset_id):
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(
            f"POST /training/datasets/{dataset_id}/audio HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 * MAX_UPLOAD_BYTES}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_what_does_not_say_so_is_refused_when_it_is_too_big(client, server, dataset_id):
    pieces, headers, _ = form(MAX_UPLOAD_BYTES + 8 * MEGABYTE)
    try:
        answer = client.post(f"/training/datasets/{dataset_id}/audio", content=pieces, headers=headers, timeout=300)
    except httpx.WriteError:  # the server closed the connection: nothing more is read
        pass
    else:
        failure(answer, 413, "upload_too_large")
    assert names_of(client, dataset_id) == []
    assert list((server.data_dir / "datasets" / dataset_id / "audio").iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(client, server, dataset_id):
    url = urlsplit(server.url)
    folder = server.data_dir / "datasets" / dataset_id / "audio"
    pieces, headers, length = form(8 * MEGABYTE)
    with socket.create_connection((url.hostname, url.port)) as connection:
        head = f"POST /training/datasets/{dataset_id}/audio HTTP/1.1\r\nHost: {url.netloc}\r\n"
        connection.sendall(
            f"{head}Content-Type: {headers['Content-Type']}\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        connection.sendall(next(pieces) + next(pieces))
        wait_until(lambda: list(folder.iterdir()))
    wait_until(lambda: not list(folder.iterdir()))
    assert names_of(client, dataset_id) == []


def wait_until(condition) -> None:
    while not condition():
        time.sleep(0.01)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/cron.d/song.ogg",
        "/etc/passwd.ogg",
        "C:\\Windows\\system32\\song.ogg",
        "CON.ogg",
        ".hidden.ogg",
        "a\tb.ogg",
        "a?b*c|d.ogg",
        "ünï — 歌.ogg",
        "e\u0301.ogg",
        "\u202egpj.ogg",
        "x" * 300 + ".ogg",
        "%2e%2e%2f.ogg",
        " ",
        "song",
        'quo"te.ogg',
        "semi;colon.ogg",
    ],
)
def test_a_name_is_never_a_path_and_plays_back(client, server, dataset_id, name):
    song = upload(client, dataset_id, name)
    assert song.status_code == 201, song.text
    filename = song.json()["filename"]
    assert [path.name for path in (server.data_dir / "datasets" / dataset_id / "audio").iterdir()] == [filename]
    played = client.get(f"/training/datasets/{dataset_id}/audio/{quote(filename, safe='')}")
    assert played.content == SONG.read_bytes()


@pytest.mark.parametrize("name", ["%2e%2e", "../manifest.json", "..%2fmanifest.json", "%2fetc%2fpasswd", "x%00", "%2e"])
def test_no_other_file_is_played(client, dataset_id, name):
    upload(client, dataset_id)
    answer = client.get(f"/training/datasets/{dataset_id}/audio/{quote(name, safe='%')}")
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]["message"]


def test_byte_ranges(client, dataset_id):
    upload(client, dataset_id)
    url, whole = f"/training/datasets/{dataset_id}/audio/{SONG.name}", SONG.read_bytes()
    answer = client.get(url)
    assert answer.headers["Content-Type"] == "audio/ogg"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert client.get(url, headers={"Range": "bytes=-50"}).content == whole[-50:]
    beyond = client.get(url, headers={"Range": f"bytes={len(whole) + 1}-"})
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole)}"
    assert failure(beyond, 416, beyond.json()["error"]["code"])


def test_lyrics_come_as_a_field_or_as_a_text_before_or_after_their_song(client, dataset_id):
    assert upload(client, dataset_id, "One.ogg", caption="as a field").json()["caption"] == "as a field"
    waiting = upload(client, dataset_id, "TWO.txt", "before".encode("utf-16"))
    assert waiting.status_code == 202
    assert upload(client, dataset_id, "two.ogg", SONGS[1].read_bytes()).json()["caption"] == "before"
    assert upload(client, dataset_id, "one.txt", b"after").json()["caption"] == "after"


def test_songs_are_edited_and_removed(client, dataset_id):
    upload(client, dataset_id, tags="a, b", rights="own")
    url = f"/training/datasets/{dataset_id}/audio/{SONG.name}"
    changed = client.put(url, json={"caption": "la", "tags": ["c"]}).json()
    assert (changed["caption"], changed["tags"], changed["rights"]) == ("la", ["c"], "own")
    assert client.delete(url).status_code == 204
    failure(client.get(url), 404, "not_found")


def test_wrong_fields_of_a_form(client, dataset_id):
    assert "rights" in failure(upload(client, dataset_id, rights="stolen"), 422, "invalid_input")["message"]
    assert "colour" in failure(upload(client, dataset_id, colour="red"), 422, "invalid_input")["message"]
    failure(upload(client, "nope"), 404, "not_found")
    assert names_of(client, dataset_id) == []


def test_the_same_song_twice_is_noticed(client, dataset_id):
    upload(client, dataset_id)
    assert SONG.name in failure(upload(client, dataset_id, "other.ogg"), 409, "conflict")["message"]


def test_parallel_uploads_and_readers_lose_nothing(server, client, dataset_id):
    """32 songs into one dataset, and 200 readers at the same time."""
    noise = np.random.default_rng(0).normal(0, 0.1, (32, 5 * 16000))

    # A context that trusts nobody: reading all certificates for each of them would take most of the test's time.
    own_client = partial(httpx.Client, base_url=server.url, timeout=120, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def write(i: int) -> int:
        song = io.BytesIO()
        soundfile.write(song, noise[i], 16000, format="WAV")
        with own_client() as own:
            return upload(own, dataset_id, f"song {i}.wav", song.getvalue()).status_code

    def read(_i: int) -> int:
        with own_client() as own:
            return own.get(f"/training/datasets/{dataset_id}").status_code

    with ThreadPoolExecutor(64) as pool:
        written, seen = pool.map(write, range(32)), pool.map(read, range(200))
        assert set(written) == {201}
        assert set(seen) == {200}
    assert sorted(names_of(client, dataset_id)) == sorted(f"song {i}.wav" for i in range(32))
