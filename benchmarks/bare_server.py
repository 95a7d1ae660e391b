"""The least that FastAPI and uvicorn take for the same answers: `python -m benchmarks.bare_server FOLDER`.

FOLDER holds `paths.json`, {path: name of the file with its body}. Prints its address as soon as it answers.
"""

import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def main() -> None:
    folder, app = Path(sys.argv[1]), FastAPI()
    for path, name in json.loads((folder / "paths.json").read_text(encoding="utf-8")).items():
        app.get(path)(returning((folder / name).read_bytes()))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def returning(body: bytes) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(body, media_type="application/json")

    return answer


if __name__ == "__main__":
    main()
