"""Finds the route of a request among a few; FastAPI tries all of them, which takes longer than most answers."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
CHOSEN = "heartmula.route"
ANY = "{"  # stands for what differs from request to request

Key = tuple[str, str, str]


class RouteIndex(BaseRoute):
    """Stands in front of `routes`, itself among them, and hands on to the first that matches as a whole.

    What none matches is left to the others, as if this one were not there. Routes may be added later.
    """

    def __init__(self, routes: Sequence[BaseRoute]):
        self._routes = routes
        self._num_routes = 0
        self._seconds: dict[str, set[str]] = {}
        self._candidates: dict[Key, tuple[BaseRoute, ...]] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http":
            for route in self._those_for(scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))):
                match, child_scope = route.matches(scope)
                if match is Match.FULL:
                    return match, {**child_scope, CHOSEN: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[CHOSEN].handle(scope, receive, send)

    def _those_for(self, method: str, path: str) -> tuple[BaseRoute, ...]:
        """The routes, in their order, that a path may belong to by its first two parts."""
        if len(self._routes) != self._num_routes:
            self._learn()
        first, second = _parts(path)
        first = first if first in self._seconds else ANY
        key = method, first, second if second in self._seconds.get(first, ()) else ANY
        found = self._candidates.get(key)
        if found is None:
            found = tuple(route for route in self._routes if route is not self and _may_match(route, *key))
            if method in METHODS:
                self._candidates[key] = found
        return found

    def _learn(self) -> None:
        self._num_routes, self._seconds, candidates = len(self._routes), {}, self._candidates
        for route in self._routes:
            first, second = _parts(getattr(route, "path", ""))
            self._seconds.setdefault(first, set()).add(second)
        candidates.clear()


def _parts(path: str) -> tuple[str, str]:
    """The first two parts of a path, ANY for what a route takes from the request or has none of."""
    _, first, second, *_ = *path.split("/", 3), "", ""
    return (ANY if ANY in first else first), (ANY if ANY in second else second)


def _may_match(route: BaseRoute, method: str, first: str, second: str) -> bool:
    methods = getattr(route, "methods", None)
    if methods is not None and method not in methods:
        return False
    if not hasattr(route, "path"):  # several routes in one
        return True
    known_first, known_second = _parts(route.path)
    is_open = isinstance(route, Mount)
    if known_first not in (first, ANY) and not (is_open and not known_first):
        return False
    return is_open or known_first == ANY or known_second in (second, ANY)
