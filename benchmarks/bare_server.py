"""The least that FastAPI and uvicorn take for the same answers: `python -m benchmarks.bare_server FOLDER`.

FOLDER holds `paths.json`, {path with its query: name of the file with its body}. Prints its address once it listens.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response

from heartmula_studio.server import listening_socket


def main() -> None:
    folder, app, bodies = Path(sys.argv[1]), FastAPI(), defaultdict(dict)
    for path, name in json.loads((folder / "paths.json").read_text(encoding="utf-8")).items():
        path, _, query = path.partition("?")
        bodies[path][query.encode()] = (folder / name).read_bytes()
    for path, by_query in bodies.items():
        app.get(path)(returning(by_query))
    with listening_socket("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def returning(by_query: dict[bytes, bytes]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(by_query[request.scope["query_string"]], media_type="application/json")

    return answer


if __name__ == "__main__":
    main()
