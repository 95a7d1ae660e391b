"""Which web pages may call: the studio's own, never those of another site that is open in the same browser.

Browsers say where a request comes from in `Origin` and `Sec-Fetch-Site`, which no script can forge. Other clients send
neither.
"""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from heartmula_studio.errors import ForbiddenError
from heartmula_studio.settings import Settings

OWN_SITES = ("same-origin", "none")  # "none": typed by a person; "same-site" includes other ports of localhost
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = tuple[str, int | None]


def check_host(headers: Headers, settings: Settings) -> None:
    """Raise ForbiddenError where the name that the studio is called by is not its own.

    Another site may point its name at 127.0.0.1, and is the same site to the browser then.
    """
    host = headers.get("host", "")
    if settings.allow_anonymous or settings.has_token or not is_loopback(settings.host):
        return
    if is_loopback(_address(host)[0]) or (settings.public_host and host.lower() == settings.public_host):
        return
    raise ForbiddenError(
        f"This studio serves only its own machine, not the name {_address(host)[0]!r}.",
        "Open it at http://127.0.0.1, name its address with HEARTMULA_ROOT_PATH, or start it with HEARTMULA_TOKEN.",
    )


def check_origin(method: str, headers: Headers, public_host: str, may_be_opened: bool) -> None:
    """Raise ForbiddenError for a request that a page of another site makes.

    A link on another site may lead to a path that `may_be_opened`: that site sees nothing of it.
    """
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "none")
    if origin is not None and not _is_own(origin, headers.get("host", ""), public_host):
        raise ForbiddenError(
            f"A page from {origin} may not call this studio.",
            "Call from a script. Behind a proxy, pass the browser's Host header on, or set HEARTMULA_ROOT_PATH to the "
            "address that the browser shows.",
        )
    is_opened = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    if site not in OWN_SITES and not (may_be_opened and is_opened):
        raise ForbiddenError("A page from another site may not call this studio.", "Open it in its own tab.")


@lru_cache(maxsize=64)  # of the few names that a machine is called by
def is_loopback(host: str) -> bool:
    """Tell whether an address or name reaches this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_own(origin: str, host: str, public_host: str) -> bool:
    scheme, separator, address = origin.lower().partition("://")
    if not separator or not address:
        return False
    return _address(address, scheme) in (_address(host, scheme), _address(public_host, scheme))


@lru_cache(maxsize=64)
def _address(netloc: str, scheme: str = "") -> Address:
    """Name and port of a Host header or an origin; ("", None) for what is none."""
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname or "", parts.port or DEFAULT_PORTS.get(scheme)
    except ValueError:
        return "", None
