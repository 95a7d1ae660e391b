"""Lists of records: in pages where that is asked for, and not sent again while nothing in them has changed."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from fastapi import Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match
from starlette.types import Scope

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.memory_only import NotInMemoryError, leave_memory, memory_only
from heartmula_studio.routes.failures import Responses, documented
from heartmula_studio.routes.shared_work import SharedWork
from heartmula_studio.services.dataset_answers import Answer

MAX_LIMIT = 1000
MAX_KEPT_PAGES = 8
JSON = "application/json"
SEPARATOR = "~"
DIGEST_BYTES = 16
NEXT_CURSOR = "X-Next-Cursor"
HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "Of this list; asked for with If-None-Match, 304 is enough."},
    NEXT_CURSOR: {"schema": {"type": "string"}, "description": "The cursor of the next page, where there is one."},
}


T = TypeVar("T")
_Part = tuple[bytes, dict[str, str]]  # the JSON of some records, and its headers


async def at_once(work: Callable[[], T]) -> T:
    """Return what `work` returns: at once where memory holds it, else from a thread, so that no other answer waits.

    A thread for each answer would take as long as the answer itself. Raises as `work` does.
    """
    try:
        with memory_only():
            return work()
    except NotInMemoryError:
        return await run_in_threadpool(work)


class WithoutQuery(APIRoute):
    """A route for requests without a query: FastAPI takes longer to find each parameter missing than an answer does.

    It goes before the route that has the parameters.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if scope.get("query_string") else super().matches(scope)


class Listed(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> str: ...


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted, and where it begins: behind so many records, or behind one.

    `after` is (created_at, id) of that one; only lists in this order have cursors. `etag` is known already.
    """

    limit: int | None = None
    after: tuple[str, str] | None = None
    etag: str = ""
    start: int = 0
    has_cursors: bool = True


async def _page(
    request: Request,
    limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT, description="At most so many; without it, all.")] = None,
    cursor: Annotated[str, Query(description="The X-Next-Cursor that came with the previous page.")] = "",
) -> Page:
    created_at, separator, id = cursor.rpartition(SEPARATOR)
    if cursor and not (created_at and separator and id):
        raise InvalidInputError("This is not a cursor.", f"Send the {NEXT_CURSOR} that came with the previous page.")
    return Page(limit, (created_at, id) if cursor else None, known_etag(request))


def known_etag(request: Request) -> str:
    return request.headers.get("If-None-Match", "")


PageDep = Annotated[Page, Depends(_page)]


def documented_list() -> Responses:
    return documented() | {200: {"headers": HEADERS}, 304: {"description": "Nothing in the list has changed."}}


@dataclass(frozen=True)
class _Text:
    record: Listed
    json: bytes
    digest: bytes


@dataclass(frozen=True)
class _Pages:
    """What came of a list, whole or in parts, as long as the list is the same."""

    records: Sequence[Listed]
    texts: dict[tuple[int | None, tuple[str, str] | None], _Part]


class Listing:
    """Answers with records of one kind, and lists of them. Any thread may call it.

    Records do not change, they are replaced; so the JSON of one is kept until another has its id.
    """

    def __init__(self, answer: type[Answer]):
        self._answer = answer
        self._texts: dict[str, _Text] = {}
        self._pages = _Pages((), {})
        self._shared = SharedWork[_Part]()

    def respond_one(self, record: Listed) -> Response:
        return Response(self._text(record).json, media_type=JSON)

    def respond(self, records: Sequence[Listed], page: Page, known: Sequence[Listed] | None = None) -> Response:
        """Answer with the wanted part of `records`.

        known: all there are, where `records` are some of them.
        """
        return _response(self._kept_page(records, page) if known is None else self._page(records, page, known), page)

    async def respond_soon(self, records: Callable[[], Sequence[Listed]], page: Page) -> Response:
        """Answer with the wanted part of `records()`: at once where memory holds it.

        Else one thread makes it for all who ask meanwhile: were there fifty, each would wait for the work of all.
        """

        def part() -> _Part:
            return self._kept_page(records(), page)

        try:
            with memory_only():
                found = part()
        except NotInMemoryError:
            found = await self._shared.run((page.limit, page.after), part)
        return _response(found, page)

    def _kept_page(self, records: Sequence[Listed], page: Page) -> _Part:
        pages, wanted = self._pages, (page.limit, page.after)
        if pages.records is not records:
            self._pages = pages = _Pages(records, {})
        kept = pages.texts.get(wanted)
        if kept is None:
            leave_memory()
            kept = self._page(records, page, records)
            if len(pages.texts) >= MAX_KEPT_PAGES:
                pages.texts.clear()
            pages.texts[wanted] = kept
        return kept

    def _page(self, records: Sequence[Listed], page: Page, known: Sequence[Listed]) -> _Part:
        wanted, has_more = _part(records, page)
        texts = [self._text(record) for record in wanted]
        self._forget_all_but(known)
        etag = f'"{hashlib.blake2b(b"".join(text.digest for text in texts), digest_size=DIGEST_BYTES).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if has_more and page.has_cursors:
            headers[NEXT_CURSOR] = f"{wanted[-1].created_at}{SEPARATOR}{wanted[-1].id}"
        return b"[" + b",".join(text.json for text in texts) + b"]", headers

    def _text(self, record: Listed) -> _Text:
        known = self._texts.get(record.id)
        if known is None or (known.record is not record and known.record != record):
            leave_memory()
            json = self._answer.of(record).model_dump_json().encode()
            known = _Text(record, json, hashlib.blake2b(json, digest_size=DIGEST_BYTES).digest())
            self._texts[record.id] = known
        return known

    def _forget_all_but(self, records: Sequence[Listed]) -> None:
        if len(self._texts) > len(records):
            for id in set(self._texts).difference(record.id for record in records):
                self._texts.pop(id, None)


class KeptAnswer(Generic[T]):
    """Answers with one value, whose JSON is kept for as long as it stays the same."""

    def __init__(self, kind: type[T]):
        self._adapter = TypeAdapter(kind)
        self._kept: tuple[T, bytes] | None = None

    def respond(self, value: T) -> Response:
        kept = self._kept
        if kept is None or kept[0] != value:
            self._kept = kept = value, self._adapter.dump_json(value)
        return Response(kept[1], media_type=JSON)


def _response(part: _Part, page: Page) -> Response:
    body, headers = part
    if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in page.etag.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _part(records: Sequence[Listed], page: Page) -> tuple[Sequence[Listed], bool]:
    """Return the wanted part, and whether any come behind it."""
    start = page.start
    if page.after:
        start = bisect_right(records, page.after, key=lambda record: (record.created_at, record.id))
    end = len(records) if page.limit is None else start + page.limit
    return records[start:end], end < len(records)
