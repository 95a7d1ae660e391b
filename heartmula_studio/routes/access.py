"""Who may call, and how much they may send: token, web origins, size of a request, and headers for browsers.

Stands in front of everything, the page included, so that nothing is read from a request that is refused.
"""

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartmula_studio.errors import ForbiddenError, StudioError, UnauthorizedError, UploadTooLargeError
from heartmula_studio.routes.failures import answer
from heartmula_studio.settings import Settings

REST = re.compile(r"/(training|generate|styles|health)(/.*)?")
OPEN_TO_ALL = ("/health",)
# These stream to disk, and know their own limits.
UPLOADS = re.compile(r"/training/datasets/[^/]+/audio|/training/checkpoints/import|/gradio_api/upload")
MAX_BODY_BYTES = 4 * 2**20
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
REST_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'self' https://huggingface.co"}


class Access:
    """ASGI middleware that refuses what may not come in, and sets the headers of what goes out."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_rest = REST.fullmatch(scope["path"]) is not None
        sender = _with_headers(send, HEADERS | (REST_HEADERS if is_rest else PAGE_HEADERS))
        try:
            self._check(scope, Headers(scope=scope), is_rest)
        except StudioError as error:
            headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, UnauthorizedError) else {}
            return await answer(error, headers)(scope, receive, sender)
        is_upload = UPLOADS.fullmatch(scope["path"]) is not None
        return await self.app(scope, receive if is_upload else _limited(receive), sender)

    def _check(self, scope: Scope, headers: Headers, is_rest: bool) -> None:
        """Raises UnauthorizedError, ForbiddenError or UploadTooLargeError."""
        if self.settings.token is None:
            self._check_web_page(scope["method"], headers, is_rest)
        elif is_rest and scope["path"] not in OPEN_TO_ALL:
            self._check_token(headers.get("authorization", ""))
        if not UPLOADS.fullmatch(scope["path"]):
            check_length(headers, MAX_BODY_BYTES)

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not is_token(token.strip(), self.settings):
            raise UnauthorizedError(
                "This studio wants its token, and none or another one was given.",
                "Send the header `Authorization: Bearer <token>`; the token is the server's HEARTMULA_TOKEN.",
            )

    def _check_web_page(self, method: str, headers: Headers, is_rest: bool) -> None:
        """Without a token, a page of another site open in the same browser must not reach the studio."""
        host = headers.get("host", "")
        if is_loopback(self.settings.host) and not self.settings.allow_anonymous and not is_loopback(_name(host)):
            raise ForbiddenError(
                f"This studio serves only its own machine, not the name {_name(host)!r}.",
                "Open it at http://127.0.0.1, or start it with HEARTMULA_TOKEN or --allow-anonymous.",
            )
        origin = headers.get("origin")
        if is_rest and origin and method not in SAFE_METHODS and urlsplit(origin).netloc != host:
            raise ForbiddenError(
                f"A page of {origin} may not change anything here.", "Call from a script, or with a token."
            )


def is_token(given: str, settings: Settings) -> bool:
    """Compare in constant time; there is nothing to guess where no token is set."""
    expected = settings.token
    return expected is not None and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def is_loopback(host: str) -> bool:
    """Tell whether an address or name reaches this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_length(headers: Headers, limit_bytes: int) -> None:
    """Raises UploadTooLargeError where a request says it is longer than allowed."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit_bytes:
        raise UploadTooLargeError(
            f"The request has {int(length):,} bytes.", f"At most {limit_bytes:,} bytes are allowed here."
        )


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


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


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = MutableHeaders(scope=message)
            for name, value in headers.items():
                present.setdefault(name, value)
        await send(message)

    return sender
