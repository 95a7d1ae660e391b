"""Slows down whoever guesses the token, without locking its owner out for long."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from heartmula_studio.errors import TooManyAttemptsError

FREE_ATTEMPTS = 5  # wrong tokens of one client before it has to wait
MAX_DOUBLINGS = 6  # of a wait that begins with 1 s
FORGET_SEC = 3600.0
MAX_PER_MINUTE = 30  # wrong tokens of all clients that never gave the right one


@dataclass
class _Client:
    """The wrong tokens of one client in a row."""

    num_wrong: int = 0
    last_sec: float = -math.inf

    def wait_sec(self, now_sec: float) -> float:
        if self.num_wrong < FREE_ATTEMPTS:
            return 0.0
        num_doublings = min(self.num_wrong - FREE_ATTEMPTS, MAX_DOUBLINGS)
        return self.last_sec + 2.0**num_doublings - now_sec


@dataclass
class Attempts:
    """Wrong tokens, counted for each client and for all of them.

    A client that waits is not looked at, which does not lengthen its wait: nobody is locked out for more than 64 s
    after the guessing has ended. Clients that gave the right token before are not held up by others.
    """

    clock: Callable[[], float]
    _clients: dict[str, _Client] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _of_strangers: deque[float] = field(default_factory=deque)

    def check(self, client: str, is_right: Callable[[], bool]) -> bool:
        """Return `is_right()`, or raise TooManyAttemptsError without calling it."""
        now_sec = self.clock()
        self._forget(now_sec)
        wait_sec = self._clients.get(client, _Client()).wait_sec(now_sec)
        if client not in self._known and len(self._of_strangers) >= MAX_PER_MINUTE:
            wait_sec = max(wait_sec, self._of_strangers[0] + 60.0 - now_sec)
        if wait_sec > 0:
            raise _too_many(math.ceil(wait_sec))
        if is_right():
            self._clients.pop(client, None)
            self._known.add(client)
            return True
        self._count(client, now_sec)
        return False

    def _count(self, client: str, now_sec: float) -> None:
        wrong = self._clients.pop(client, _Client())
        self._clients[client] = _Client(wrong.num_wrong + 1, now_sec)
        if client not in self._known:
            self._of_strangers.append(now_sec)

    def _forget(self, now_sec: float) -> None:
        while self._of_strangers and self._of_strangers[0] <= now_sec - 60.0:
            self._of_strangers.popleft()
        # Clients stand in the order of their last wrong token.
        for client in list(self._clients):
            if self._clients[client].last_sec > now_sec - FORGET_SEC:
                break
            del self._clients[client]


def _too_many(wait_sec: int) -> TooManyAttemptsError:
    return TooManyAttemptsError(
        "Too many wrong tokens were given.", f"Try again in {wait_sec} s. Pages that are logged in go on.", wait_sec
    )
