"""Who may call what, and how much they may send: names, origins, token, paths, size of a request, browser headers.

Stands in front of everything, the page included, so that nothing is read from a request that is refused.
"""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartmula_studio.errors import (
    NotFoundError,
    StudioError,
    UnauthorizedError,
    UploadTooLargeError,
)
from heartmula_studio.routes.failures import answer
from heartmula_studio.routes.login import OWN_FRAME, SPACE_FRAME, Logins
from heartmula_studio.routes.origin import check_host, check_origin
from heartmula_studio.services.owners import CALLER
from heartmula_studio.settings import PREFIX

MAX_BODY_BYTES = 4 * 2**20

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
REST_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
PAGE_HEADERS = {"Content-Security-Policy": f"frame-ancestors {OWN_FRAME}"}
SPACE_HEADERS = {"Content-Security-Policy": f"frame-ancestors {SPACE_FRAME}"}
DOCS_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
    "; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
}


RawHeaders = list[tuple[bytes, bytes]]
KEPT_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}


@dataclass(frozen=True, eq=False)
class Rule:
    """What holds for the paths that match a pattern as a whole."""

    pattern: str
    headers: dict[str, str]
    is_open: bool = False  # without the token
    may_be_opened: bool = False  # by a link on another site
    is_streamed: bool = False  # to disk; the route knows its own limit
    is_kept: bool = False  # by browsers, who need not ask again: another content has another name


# The first that matches holds. What is not here is answered 404: Gradio has routes for developers and other sites.
RULES = (
    Rule(r"/health", REST_HEADERS, is_open=True),
    Rule(
        r"/training/datasets/[^/]+/audio|/training/(datasets|checkpoints)/import|/training/imports",
        REST_HEADERS,
        is_streamed=True,
    ),
    Rule(r"/(training|generate|styles|models|hub|health)(/.*)?", REST_HEADERS),
    Rule(r"/docs|/redoc", DOCS_HEADERS, is_open=True, may_be_opened=True),
    Rule(r"/openapi\.json|/docs-assets/.*", DOCS_HEADERS, is_open=True),
    Rule(r"/login|/logout|/favicon\.ico|/robots\.txt", PAGE_HEADERS, is_open=True),
    Rule(r"/", PAGE_HEADERS, may_be_opened=True),
    Rule(r"/assets/[^/]+-[\w-]{8,9}\.\w+", PAGE_HEADERS, is_kept=True),  # named by Gradio's build after their contents
    Rule(r"/players/.*|/changes|/config|/manifest\.json|/theme\.css|/(assets|static|svelte)/.*", PAGE_HEADERS),
    Rule(r"/gradio_api/upload", PAGE_HEADERS, is_streamed=True),
    Rule(r"/gradio_api/(info|app_id|startup-events|theme\.css|upload_progress|cancel|reset/?)", PAGE_HEADERS),
    Rule(r"/gradio_api/(run|api|call|call/v2|heartbeat|queue)/.*|/gradio_api/file=(?!https?:).*", PAGE_HEADERS),
)
PATTERNS = tuple(re.compile(rule.pattern, re.DOTALL) for rule in RULES)
CLOSED = Rule("", PAGE_HEADERS)


class Access:
    """ASGI middleware that refuses what may not come in, and sets the headers of what goes out."""

    def __init__(self, app: ASGIApp, logins: Logins):
        self.app = app
        self.logins = logins
        self.settings = logins.settings
        self._headers = {
            rule: (_raw(HEADERS | self._framed(rule.headers)), _raw(KEPT_HEADERS if rule.is_kept else {}))
            for rule in (*RULES, CLOSED)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":  # nothing here speaks it
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)
        prefix = self.settings.path_prefix or forwarded_prefix(headers)
        scope = under_prefix(scope, prefix)
        rule = find_rule(scope["path"].removeprefix(prefix))
        sender = _with_headers(send, *self._headers[rule])
        try:
            caller = self._check(scope, headers, rule)
        except StudioError as error:
            return await self._refusal(scope, rule, error)(scope, receive, sender)
        CALLER.set(caller)
        scope = {**scope, CALLER.name: caller}  # which the page's queue keeps
        if not self.settings.path_prefix:
            scope = with_public_host(scope, headers)
        return await self.app(scope, receive if rule.is_streamed else _limited(receive), sender)

    def _framed(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers of a rule; on a Space, its page lies in a frame of Hugging Face, and in no other."""
        return SPACE_HEADERS if self.logins.is_space and headers is PAGE_HEADERS else headers

    def _check(self, scope: Scope, headers: Headers, rule: Rule) -> str:
        """Return who asks; raise what is wrong with a request, the StudioError that `_refusal` answers with."""
        check_host(headers, self.settings)
        check_origin(scope["method"], headers, self.settings.public_host, rule.may_be_opened)
        caller = "" if rule.is_open else self.logins.check(scope, headers)
        if rule is CLOSED:
            raise NotFoundError(f"{scope['method']} {scope['path']}: Not Found.", "The page is at /, REST at /docs.")
        if not rule.is_streamed:
            check_length(headers, MAX_BODY_BYTES)
        return caller

    def _refusal(self, scope: Scope, rule: Rule, error: StudioError) -> ASGIApp:
        is_page = rule.pattern == "/" and scope["method"] in ("GET", "HEAD")
        if is_page and isinstance(error, UnauthorizedError):
            return self.logins.page(scope["root_path"])
        return answer(error)


def find_rule(path: str) -> Rule:
    """The first rule for a path below the prefix."""
    return next((rule for rule, pattern in zip(RULES, PATTERNS, strict=True) if pattern.fullmatch(path)), CLOSED)


def under_prefix(scope: Scope, prefix: str) -> Scope:
    """The scope as if the proxy had passed the path on whole; some cut the prefix off, others do not."""
    path = scope["path"]
    is_whole = f"{path}/".startswith(f"{prefix}/")
    whole = path if is_whole else prefix + path
    return {**scope, "root_path": prefix, "path": f"{whole}/" if whole == prefix else whole}


def forwarded_prefix(headers: Headers) -> str:
    """The path that a proxy says it serves the studio under. It changes only the addresses in this one answer."""
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    return prefix if PREFIX.fullmatch(prefix) else ""


def with_public_host(scope: Scope, headers: Headers) -> Scope:
    """The scope as if the browser had called the studio by the name that a proxy forwards.

    Gradio makes its addresses from that name without the path.
    """
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    if not scope["root_path"] or not forwarded:
        return scope
    kept = [(name, value) for name, value in scope["headers"] if name not in (b"host", b"x-forwarded-host")]
    return {**scope, "headers": [*kept, (b"host", forwarded.encode("latin-1"))]}


def check_length(headers: Headers, limit_bytes: int) -> None:
    """Raises UploadTooLargeError where a request says it is longer than allowed."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit_bytes:
        raise UploadTooLargeError(
            f"The request has {int(length):,} bytes.", f"At most {limit_bytes:,} bytes are allowed here."
        )


def _limited(receive: Receive) -> Receive:
    """Count what comes without a Content-Length, or with a false one."""
    num_bytes = 0

    async def counted() -> Message:
        nonlocal num_bytes
        message = await receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request has more than {MAX_BODY_BYTES:,} bytes.")
        return message

    return counted


def _raw(headers: dict[str, str]) -> RawHeaders:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _with_headers(send: Send, headers: RawHeaders, of_success: RawHeaders) -> Send:
    """Add the headers that an answer has not set itself. What is done for each answer is kept small."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message.setdefault("headers", [])
            present = {name.lower() for name, _ in own}
            wanted = headers if message["status"] >= 300 else [*of_success, *headers]
            message["headers"] = [*own, *(header for header in wanted if header[0] not in present)]
            if any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in own):
                MutableHeaders(scope=message)["X-Accel-Buffering"] = "no"  # or nginx keeps events until there are many
        await send(message)

    return sender
