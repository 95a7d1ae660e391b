"""A Hugging Face Hub in this process: it speaks the wire format that the real `huggingface_hub` client uses.

Point a client at it with `hub.environment` (of a process of its own) or `hub.use(monkeypatch)` (in this one). Wire
format: the client's own source, `_commit_api.py`, `lfs.py`, `hf_api.py` and `file_download.py` of huggingface_hub 2.4.
Xet, a protocol of its own, is switched off: files travel by Git LFS, as for every client without `hf_xet`.
"""

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub.constants as hub

from tests.hub_repo import LFS_SUFFIXES, Repo, file_entry, is_large, oid_of

TOKEN = "hf_stand_in_token_of_the_tests"
USER = "musician"


@dataclass(frozen=True)
class Request:
    """`headers` by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class HubEndpoint:
    """Repositories by (kind, id), and what goes wrong with them.

    quota_bytes: what all uploads may hold together. cut_after: downloads break off after so many bytes of a file, once
    each; the client keeps of that whole blocks of `constants.DOWNLOAD_CHUNK_SIZE`. hold: a step of an upload ("create",
    "preupload", "batch", "upload", "commit"), or "download", at which the answer is withheld: `reached` is set, and the
    client can be killed there.
    """

    def __init__(self, url: str):
        self.url = url
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.token, self.user = TOKEN, USER
        self.quota_bytes: int | None = None
        self.cut_after: int | None = None
        self.hold: str | None = None
        self.reached, self.released = threading.Event(), threading.Event()
        self._cut: set[str] = set()

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own, logged in."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": self.token, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def use(self, monkeypatch: Any, cache: Path, token: str | None = TOKEN) -> None:
        """Have the clients of this process ask here, and keep what they fetch in `cache`.

        A test that uses `datasets` imports it beforehand: it reads its environment once.
        """
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        if token is None:
            monkeypatch.delenv("HF_TOKEN")
        else:
            monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setattr(hub, "ENDPOINT", self.url)
        monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(hub, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(hub, "HF_TOKEN_PATH", str(cache / "token"))
        if datasets := sys.modules.get("datasets"):
            monkeypatch.setattr(datasets.config, "HF_ENDPOINT", self.url)
            monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)

    def add(self, id: str, files: dict[str, bytes], kind: str = "model", **settings: bool) -> Repo:
        repo = self.repos[kind, id] = Repo(id, kind, **settings)
        repo.commit(files)
        return repo

    def add_folder(self, id: str, folder: Path, kind: str = "model", **settings: bool) -> Repo:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return self.add(id, {str(path.relative_to(folder)): path.read_bytes() for path in paths}, kind, **settings)

    def is_cut(self, path: str) -> bool:
        """Whether the download of a file breaks off now: each file's first one does."""
        first = self.cut_after is not None and path not in self._cut
        self._cut.add(path)
        return first

    def wait_if_held(self, step: str) -> None:
        """Raises ConnectionResetError once it is released: the client was killed, and asks for nothing any more."""
        if self.hold == step:
            self.reached.set()
            self.released.wait(60)
            raise ConnectionResetError


@contextmanager
def hub_endpoint() -> Iterator[HubEndpoint]:
    """Serve an empty Hub on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = server.hub = HubEndpoint(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()


class RefusalError(Exception):
    def __init__(self, status: int, message: str, code: str = ""):
        self.status, self.message, self.code = status, message, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubEndpoint

    def log_message(self, *_: object) -> None:
        pass

    def handle_any(self) -> None:
        self.hub = self.server.hub  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        self.query, path = parse_qs(url.query), unquote(url.path)
        self.hub.requests.append(Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        try:
            self.body = self._read_body()
            for method, pattern, answer in ROUTES:
                if method == self.command and (match := re.fullmatch(pattern, path)):
                    return answer(self, **match.groupdict())
            raise RefusalError(404, f"There is no {path}.")
        except RefusalError as refusal:
            self._refuse(refusal)
        except (BrokenPipeError, ConnectionResetError):  # the client was killed
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815  # as `http.server` calls them

    # --- answers ---

    def whoami(self) -> None:
        self._require_login()
        self.json({"type": "user", "name": self.hub.user, "orgs": [], "auth": {"type": "access_token"}})

    def validate_card(self) -> None:
        self.json({"errors": [], "warnings": []})

    def create(self) -> None:
        self._require_login()
        self.hub.wait_if_held("create")
        wanted = json.loads(self.body)
        id = f"{wanted.get('organization') or self.hub.user}/{wanted['name']}"
        if not id.startswith(f"{self.hub.user}/"):
            raise RefusalError(403, "You don't have the rights to create a model under this namespace")
        key = wanted.get("type") or "model", id
        if key in self.hub.repos:
            raise RefusalError(409, "You already created this model repo")
        is_private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.add(id, {".gitattributes": b""}, key[0], private=is_private)
        self.json({"url": f"{self.hub.url}/{id}", "name": id, "id": id})

    def info(self, kind: str, id: str, revision: str = "main") -> None:
        repo = self._repo(kind, id)
        self.json(repo.described(self._commit_of(repo, revision)))

    def list_repos(self, kind: str) -> None:
        words, tags = self.query.get("search", []), set(self.query.get("filter", []))
        tags = {tag for value in tags for tag in value.split(",")}
        found = [repo for (of, _), repo in self.hub.repos.items() if of == kind and (not repo.private or self._is_in())]
        described = [repo.described(repo.head) for repo in found if all(word in repo.id for word in words)]
        self.json([entry for entry in described if tags <= set(entry["tags"])])

    def tree(self, kind: str, id: str, revision: str) -> None:
        repo = self._repo(kind, id)
        self._require_passed(repo)
        files = repo.commits[self._commit_of(repo, revision)]
        self.json([file_entry(name, data) for name, data in files.items()])

    def paths_info(self, kind: str, id: str, revision: str) -> None:
        repo = self._repo(kind, id)
        files = repo.commits[self._commit_of(repo, revision)]
        form = self.body.decode()
        wanted = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form).get("paths", [])
        self.json([file_entry(name, files[name]) for name in wanted if name in files])

    def refs(self, kind: str, id: str) -> None:
        head = self._repo(kind, id).head
        self.json({"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": head}], "tags": []})

    def preupload(self, kind: str, id: str, revision: str) -> None:
        self._require_login()
        repo = self._repo(kind, id)
        self.hub.wait_if_held("preupload")
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                "shouldIgnore": False,
                "oid": oid_of(file["path"], repo.files[file["path"]]) if file["path"] in repo.files else None,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.json({"files": files, "commitOid": repo.head})

    def lfs_batch(self, id: str, kind: str = "model") -> None:
        self._require_login()
        self.hub.wait_if_held("batch")
        objects = json.loads(self.body)["objects"]
        held = sum(map(len, self.hub.objects.values()))
        if self.hub.quota_bytes is not None and held + sum(o["size"] for o in objects) > self.hub.quota_bytes:
            raise RefusalError(403, "Private repository storage limit reached, please upgrade your plan to increase it")
        self.json({"transfer": "basic", "objects": [self._upload_of(wanted) for wanted in objects]})

    def lfs_upload(self, oid: str) -> None:
        self.hub.wait_if_held("upload")
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusalError(400, "The upload does not have the hash that was announced")
        self.hub.objects[oid] = self.body
        self.send(b"")

    def lfs_verify(self) -> None:
        if json.loads(self.body)["oid"] not in self.hub.objects:
            raise RefusalError(404, "No such object")
        self.json({})

    def commit(self, kind: str, id: str, revision: str) -> None:
        self._require_login()
        repo, files = self._repo(kind, id), {}
        files.update(repo.files)
        for line in self.body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                files.pop(value["path"], None)
        self.hub.wait_if_held("commit")
        sha = repo.commit(files)
        self.json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{id}/commit/{sha}"})

    def resolve(self, id: str, revision: str, path: str, kind: str = "model") -> None:
        repo = self._repo(kind, id)
        self._require_passed(repo)
        commit = self._commit_of(repo, revision)
        if path not in repo.commits[commit]:
            raise RefusalError(404, "Entry not found", "EntryNotFound")
        if self.command == "GET" and path.endswith(LFS_SUFFIXES):
            self.hub.wait_if_held("download")
        data = repo.commits[commit][path]
        headers = {"ETag": f'"{oid_of(path, data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        first = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.send(data[first:], 206 if first else 200, headers, self.command == "GET" and self.hub.is_cut(path))

    # --- parts of answers ---

    def json(self, value: Any) -> None:
        self.send(json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def send(
        self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, cut_off: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: self.hub.cut_after] if cut_off else data)
            self.close_connection = cut_off or self.close_connection

    def _refuse(self, refusal: RefusalError) -> None:
        headers = {"X-Error-Message": refusal.message, "Content-Type": "application/json"}
        if refusal.code:
            headers["X-Error-Code"] = refusal.code
        self.send(json.dumps({"error": refusal.message}).encode(), refusal.status, headers)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _is_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _require_login(self) -> None:
        if not self._is_in():
            raise RefusalError(401, "Invalid credentials in Authorization header")

    def _repo(self, kind: str, id: str) -> Repo:
        repo = self.hub.repos.get((kind.removesuffix("s"), id))
        if repo is None or (repo.private and not self._is_in()):
            raise RefusalError(404 if self._is_in() else 401, "Repository not found", "RepoNotFound")
        return repo

    def _require_passed(self, repo: Repo) -> None:
        if repo.gated:
            raise RefusalError(403, f"Access to model {repo.id} is restricted and you are not in the list", "GatedRepo")

    def _commit_of(self, repo: Repo, revision: str) -> str:
        commit = repo.head if revision in ("main", "HEAD") else revision
        if commit not in repo.commits:
            raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _upload_of(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """What to do with an object; nothing where it already exists."""
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] in self.hub.objects:
            return answer
        upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}
        return answer | {"actions": {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs-verify", "header": {}}}}


_KIND, _ID, _REVISION = r"(?P<kind>models|datasets)", r"(?P<id>[\w.-]+/[\w.-]+)", r"(?P<revision>[^/]+)"
_FILE = rf"{_ID}/resolve/{_REVISION}/(?P<path>.+)"


def _of_datasets(answer: Callable[..., None]) -> Callable[..., None]:
    return lambda handler, **found: answer(handler, **found, kind="dataset")


ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/validate-yaml", _Handler.validate_card),
    ("POST", "/api/repos/create", _Handler.create),
    ("GET", "/api/models", lambda handler: handler.list_repos("model")),
    ("GET", "/api/datasets", lambda handler: handler.list_repos("dataset")),
    ("GET", f"/api/{_KIND}/{_ID}", _Handler.info),
    ("GET", f"/api/{_KIND}/{_ID}/refs", _Handler.refs),
    ("GET", f"/api/{_KIND}/{_ID}/revision/{_REVISION}", _Handler.info),
    ("GET", f"/api/{_KIND}/{_ID}/tree/{_REVISION}", _Handler.tree),
    ("POST", f"/api/{_KIND}/{_ID}/paths-info/{_REVISION}", _Handler.paths_info),
    ("POST", f"/api/{_KIND}/{_ID}/preupload/{_REVISION}", _Handler.preupload),
    ("POST", f"/api/{_KIND}/{_ID}/commit/{_REVISION}", _Handler.commit),
    ("POST", rf"/datasets/{_ID}\.git/info/lfs/objects/batch", _of_datasets(_Handler.lfs_batch)),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.lfs_upload),
    ("POST", "/lfs-verify", _Handler.lfs_verify),
    *((method, f"/datasets/{_FILE}", _of_datasets(_Handler.resolve)) for method in ("GET", "HEAD")),
    *((method, f"/{_FILE}", _Handler.resolve) for method in ("GET", "HEAD")),
]
