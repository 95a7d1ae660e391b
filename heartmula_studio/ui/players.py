"""Addresses for the audio players of the page, which only the page can make.

A browser's player sends no token and REST wants one; the page is behind the login, so an address that it signed shows
that somebody who may has asked. Other files of the data folder have no address.
"""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI
from starlette.responses import FileResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from heartmula_studio.errors import NotFoundError
from heartmula_studio.services.songs.live import STREAM_HEADERS

ROUTE, BLIND, LIVE = "/players", "blind", "live"


class PassingFile(FileResponse):
    """A file that may be gone by the time it is sent, as the song was deleted or its cover replaced."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except RuntimeError as error:
            if Path(self.path).is_file():
                raise
            raise NotFoundError("This song no longer exists.", "Reload the page.") from error


class Players:
    """Signed addresses of audio files, valid as long as this server runs."""

    def __init__(self, root: Path):
        """`root`: the folder that all songs are in."""
        self._root = root.resolve()
        self._key = secrets.token_bytes(32)
        self._blind: dict[str, str] = {}

    def url(self, path: Path) -> str:
        """An address for a file below `root`, relative to the page's own."""
        name = path.resolve().relative_to(self._root).as_posix()
        return f"{ROUTE.removeprefix('/')}/{self._signature(name)}/{quote(name)}"

    def blind_url(self, path: Path, key: str) -> str:
        """An address that tells nothing of the file, and is another one for each `key`."""
        token = self._signature(f"{BLIND}/{key}")
        self._blind[token] = path.resolve().relative_to(self._root).as_posix()
        return f"{ROUTE.removeprefix('/')}/{BLIND}/{token}"

    def live_url(self, song_id: str) -> str:
        """An address for the sound of a song while it is made."""
        return f"{ROUTE.removeprefix('/')}/{LIVE}/{self._signature(f'{LIVE}/{song_id}')}/{quote(song_id)}"

    def add_route(self, app: FastAPI, stream: Callable[[str], AsyncIterator[bytes]]) -> None:
        """Serve all addresses; `stream` as `SongService.stream`."""

        def live(signature: str, song_id: str) -> StreamingResponse:
            self._check(signature, f"{LIVE}/{song_id}")
            return StreamingResponse(stream(song_id), media_type="audio/wav", headers=STREAM_HEADERS)

        app.add_api_route(f"{ROUTE}/{LIVE}/{{signature}}/{{song_id}}", live, include_in_schema=False)
        app.add_api_route(f"{ROUTE}/{{signature}}/{{name:path}}", self.serve, include_in_schema=False)

    def serve(self, signature: str, name: str) -> FileResponse:
        """The file, or the part of it that was asked for. Raises NotFoundError."""
        if signature == BLIND and name in self._blind:
            name = self._blind[name]
            signature = self._signature(name)
        path = self._root / name
        self._check(signature, name)
        if not path.is_file():
            raise NotFoundError("This song does not exist.", "Reload the page.")
        return PassingFile(path, headers={"Cache-Control": "private"})

    def _check(self, signature: str, name: str) -> None:
        """Raise NotFoundError for an address that is not ours."""
        if not hmac.compare_digest(signature.encode(), self._signature(name).encode()):
            raise NotFoundError("This song does not exist.", "Reload the page.")

    def _signature(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()
