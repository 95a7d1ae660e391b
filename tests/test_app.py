"""`python app.py`: options, protection, signals, and the page beside REST."""

import asyncio
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from heartmula_studio.server import listening_socket
from tests.studio_server import ROOT, environment, running_server

TOKEN = "correct-horse"
# A server that has just started is still busy loading.
get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)


def start(tmp_path, *options: str, **variables: str) -> subprocess.CompletedProcess:
    """Start a server that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "app.py", *options],
        cwd=ROOT,
        env=environment(tmp_path / "data", **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", [["app.py"], ["-m", "heartmula_studio", "serve"]])
def test_help_needs_no_torch(command):
    done = subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    for option in ("--host", "--port", "--data-dir", "--allow-anonymous"):
        assert option in done.stdout


@pytest.mark.parametrize("variables", [{}, {"SPACE_ID": "me/studio"}])
def test_other_machines_are_not_served_without_a_token(tmp_path, variables):
    done = start(tmp_path, "--port", "0", GRADIO_SERVER_NAME="0.0.0.0", **variables)
    assert done.returncode == 2
    assert "HEARTMULA_TOKEN" in done.stderr
    assert "--allow-anonymous" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_connection_holds_no_part_of_an_answer_back():
    """The answers of a connection that is kept came 40 ms late, each of them."""
    is_sent_at_once = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        is_sent_at_once.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        writer.close()

    async def connect() -> None:
        with listening_socket("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(note, sock=listener):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                await reader.read()
                writer.close()

    asyncio.run(connect())
    assert is_sent_at_once == [True]


def test_a_busy_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = start(tmp_path, GRADIO_SERVER_PORT=port)
    assert done.returncode == 2
    assert port in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"), [(("--port", "70000"), "70000"), (("--host", "no such host"), "no such host")]
)
def test_an_address_that_is_none_is_named(tmp_path, options, said):
    done = start(tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.fixture(scope="module")
def protected(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("protected") / "data"
    with running_server(data_dir, "--host", "0.0.0.0", HEARTMULA_TOKEN=TOKEN) as server:
        yield server


def test_five_lines_say_what_was_found(protected):
    """The first is the address, which the fixture has read."""
    lines = [protected.process.stdout.readline().decode() for _ in range(4)]
    assert [line.partition(":")[0] for line in lines] == ["Data", "Open to", "Device", "Base"]
    assert [line for line in lines if line != f"{line.rstrip()}\n"] == []
    data, access, device, base = lines
    assert f"{protected.data_dir}, " in data
    assert "whoever has a token" in access
    assert "cpu, " in device
    assert "nano. It was asked for" in base
    assert "It was asked for" in get(f"{protected.url}/health").json()["base_reason"]
    maps = Path(f"/proc/{protected.process.pid}/maps").read_text()
    assert "libtorch" not in maps  # it takes several hundred MiB, and nobody has asked for it yet


def test_rest_wants_the_token(protected):
    url = f"{protected.url}/training/datasets"
    assert get(f"{protected.url}/health").status_code == 200
    assert get(url).status_code == 401
    assert get(url, headers={"Authorization": "Bearer wrong-token"}).status_code == 401
    assert get(url, headers={"Authorization": f"Bearer {TOKEN}"}).json() == []


def test_the_page_wants_a_login(protected):
    for path in ("gradio_api/info", "config", "gradio_api/file=README.md", "gradio_api/token", "theme.css"):
        assert get(f"{protected.url}/{path}").status_code == 401
    call = post(f"{protected.url}/gradio_api/call/list_datasets", json={"data": []})
    assert call.status_code == 401
    assert post(f"{protected.url}/login", data={"username": "me", "password": "wrong"}).status_code == 401


def test_gradio_client_logs_in_with_the_token(protected):
    client = Client(protected.url, auth=("me", TOKEN), verbose=False, httpx_kwargs={"timeout": 180})
    assert client.predict(api_name="/list_datasets") == []
    with pytest.raises(ValueError, match="Could not login"):
        Client(protected.url, auth=("me", "wrong"), verbose=False)


def test_a_signal_ends_it_cleanly_even_while_a_client_listens(tmp_path, capfd):
    with running_server(tmp_path / "data") as server:
        # Gradio's heartbeat has no end of its own.
        with httpx.stream("GET", f"{server.url}/gradio_api/heartbeat/test", timeout=60):
            assert server.stop() == 0
        assert b"Traceback" not in server.process.stdout.read()
    assert capfd.readouterr().err == ""
