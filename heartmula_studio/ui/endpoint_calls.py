"""How endpoints call the studio: in a thread, errors as a client reads them, records as what REST says of them."""

from collections.abc import Callable
from typing import Any

from anyio import to_thread
from pydantic_core import to_jsonable_python

from heartmula_studio.services.answers import answer
from heartmula_studio.ui.page_context import user_errors


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with user_errors(str):
        return await to_thread.run_sync(lambda: function(*arguments, **named))


async def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return to_jsonable_python(answer(await in_thread(function, *arguments, **named)))
