"""The HTML of the page, kept for the next browser that asks for it at the same address.

Gradio 6.31 copies all components and describes every endpoint anew for each browser, and what comes out is the same.
"""

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_ADDRESSES = 8  # of 0.8 MB each: whoever may name a host could have any number of them
ADDRESS_HEADERS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
"""From which Gradio tells what address the page is at."""

Address = tuple[str, ...]


class KeptPage:
    """Stands in front of Gradio's application, which answers everything else, and the first who asks at an address."""

    def __init__(self, app: ASGIApp):
        self._app = app
        self._pages: dict[Address, Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_of_page(scope):
            page = await self._page(scope, receive)
            await page(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive) -> Response:
        address = address_of(scope)
        if address in self._pages:
            return self._pages[address]
        page = await answer_of(self._app, scope, receive)
        if page.status_code == 200:
            if len(self._pages) >= MOST_ADDRESSES:
                self._pages.clear()
            self._pages[address] = page
        return page


def keep_page(app: FastAPI) -> None:
    """Keep the page of Gradio's application, which is mounted last."""
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount), mounted
    mounted.app = KeptPage(mounted.app)


def is_of_page(scope: Scope) -> bool:
    """Whether a request is for the page as it opens; a query may ask for another state of it."""
    is_plain = scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]
    return is_plain and scope["path"].removeprefix(scope.get("root_path", "")) == "/"


def address_of(scope: Scope) -> Address:
    headers = Headers(scope=scope)
    return scope["scheme"], scope.get("root_path", ""), *(headers.get(name, "") for name in ADDRESS_HEADERS)


async def answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """Return what an application answers, whole."""
    messages: list[Message] = []

    async def take(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, take)
    start, *parts = messages
    answer = Response(b"".join(part.get("body", b"") for part in parts), start["status"])
    answer.raw_headers = start["headers"]
    return answer
