"""Who may call where there is a token: sessions of the page, and Bearer tokens of scripts."""

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from heartmula_studio.errors import UnauthorizedError
from heartmula_studio.routes.attempts import Attempts
from heartmula_studio.settings import Settings

PAGE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")
MAX_SESSIONS = 1000
WHERE_TOKENS_ARE = "Tokens are the server's HEARTMULA_TOKEN and those in its HEARTMULA_USER_TOKENS."
OWN_FRAME, SPACE_FRAME = "'self'", "https://huggingface.co"  # which pages may have the studio in a frame


class Logins:
    """The sessions of one server; they end with it."""

    def __init__(self, settings: Settings, is_space: bool, clock: Callable[[], float] = time.monotonic):
        """`is_space`: on Hugging Face, where the page lies in a frame of another site."""
        self.settings = settings
        self.is_space = is_space
        self._attempts = Attempts(clock)
        self._sessions: dict[str, str] = {}  # whose each is
        self._cookie = f"heartmula_session_{secrets.token_hex(4)}"  # a browser shares cookies between ports

    def check(self, scope: Scope, headers: Headers) -> str:
        """Return the name of who asks, "" for anybody.

        Raises UnauthorizedError without a session or a token, TooManyAttemptsError where guesses are slowed.
        """
        if not self.settings.has_token:
            return ""
        user = self._user_of_session(headers)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if user is None and scheme.lower() == "bearer":
            user = self._user_of_token(scope, given.strip())
        if user is None:
            raise UnauthorizedError(
                "This studio requires a token, and none or a wrong one was given.",
                f"Send the header `Authorization: Bearer <token>`. {WHERE_TOKENS_ARE}",
            )
        return user

    def has_session(self, headers: Headers) -> bool:
        return self._user_of_session(headers) is not None

    def _user_of_session(self, headers: Headers) -> str | None:
        return self._sessions.get(cookie_parser(headers.get("cookie", "")).get(self._cookie, ""))

    def log_in(self, request: Request, token: str) -> str:
        """Return the Set-Cookie header of a new session. Raises UnauthorizedError and TooManyAttemptsError."""
        user = self._user_of_token(request.scope, token)
        if user is None:
            raise UnauthorizedError("This is not the studio's token.", WHERE_TOKENS_ARE)
        session = secrets.token_urlsafe(32)
        self._sessions[session] = user
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return self._set_cookie(session, self._rule(request), request.scope)

    def log_out(self, request: Request) -> str:
        """End the session of this request alone, and return the Set-Cookie header that says so."""
        self._sessions.pop(request.cookies.get(self._cookie, ""), None)
        return self._set_cookie("", f"Max-Age=0; {self._rule(request)}", request.scope)

    def _user_of_token(self, scope: Scope, token: str) -> str | None:
        user = find_user(token, self.settings) if token else None
        is_right = bool(token) and self._attempts.check(client_of(scope), lambda: user is not None)
        return user if is_right else None

    def _set_cookie(self, value: str, rule: str, scope: Scope) -> str:
        # By hand: Python's cookies know `Partitioned` from 3.14 on only.
        return f"{self._cookie}={value}; HttpOnly; Path={scope.get('root_path') or '/'}; {rule}"

    def _rule(self, request: Request) -> str:
        if self.is_space:
            return "SameSite=None; Secure; Partitioned"
        origin = request.headers.get("origin", "")
        is_https = request.url.scheme == "https" or origin.startswith("https://")
        return "SameSite=Lax; Secure" if is_https else "SameSite=Lax"

    def page(self, prefix: str) -> HTMLResponse:
        """The page that asks for the token, and tells nothing else. `prefix`: the path that the studio is under."""
        nonce = secrets.token_urlsafe(16)
        html = PAGE.replace("NONCE", nonce).replace("BASE", f"{prefix}/")
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            f"form-action 'self'; base-uri 'self'; frame-ancestors {SPACE_FRAME if self.is_space else OWN_FRAME}"
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def login_router(logins: Logins) -> APIRouter:
    """Return the routes that Gradio's page and clients expect of a login."""
    router = APIRouter(include_in_schema=False)

    @router.post("/login")
    async def log_in(request: Request) -> JSONResponse:
        headers = {}
        if logins.settings.has_token:
            async with request.form(max_files=0) as form:
                headers["Set-Cookie"] = logins.log_in(request, str(form.get("password", "")))
        return JSONResponse({"success": True}, headers=headers)

    @router.get("/login")
    async def is_logged_in(request: Request) -> dict[str, bool]:
        """Tell a page whether its browser has kept the cookie."""
        return {"is_logged_in": not logins.settings.has_token or logins.has_session(request.headers)}

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        # A relative address, so that no forged name is followed.
        return RedirectResponse("./", 303, headers={"Set-Cookie": logins.log_out(request)})

    return router


def find_user(given: str, settings: Settings) -> str | None:
    """Return whose token this is, "" for the studio's own, None for nobody's. Compares all of them in constant time."""
    tokens = {"": settings.token} if settings.token is not None else {}
    matches = [name for name, token in {**tokens, **settings.user_tokens}.items() if is_same(given, token)]
    return matches[-1] if matches else None


def is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def client_of(scope: Scope) -> str:
    """The address of a client; of an IPv6 address the network, in which one machine has any number of addresses."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
