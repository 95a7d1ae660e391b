"""For whom songs and jobs are made: who asks now, how much one person may ask for, and taking turns.

A person is known by a token of their own; whoever comes with the studio's token, with none or from a shell is "".
"""

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from itertools import chain, zip_longest
from typing import Protocol, TypeVar

from heartmula_studio.errors import TooManyRequestsError
from heartmula_studio.files.wording import counted

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""Who asks, as the request's token says."""


class Owned(Protocol):
    @property
    def owner(self) -> str: ...


OwnedT = TypeVar("OwnedT", bound=Owned)


def refuse_too_many(what: str, under_way: Iterable[Owned], num_new: int, most: int | None) -> None:
    """Raise TooManyRequestsError where the caller would have more than `most` under way.

    Nothing limits who has no name, and where `most` is None. what: is counted, in the singular.
    """
    caller = CALLER.get()
    if not caller or most is None:
        return
    num_own = sum(one.owner == caller for one in under_way)
    if num_own + num_new > most:
        raise TooManyRequestsError(
            f"{caller} has {counted(num_own, what)} waiting or under way, and asks for {num_new} more.",
            f"Each user may have {most} at a time. Wait until one ends, or cancel one.",
        )


def round_robin(waiting: Sequence[OwnedT], last_turns: Mapping[str, str]) -> list[OwnedT]:
    """Return what waits, given in the order it was asked for, one of each owner at a time.

    It begins with the owner whose last turn is longest ago; those who never had one come first. An owner's own keep
    their order. last_turns: the time of each owner's last turn.
    """
    owners = sorted(dict.fromkeys(one.owner for one in waiting), key=lambda owner: last_turns.get(owner, ""))
    lines = [[one for one in waiting if one.owner == owner] for owner in owners]
    return [one for one in chain.from_iterable(zip_longest(*lines)) if one is not None]
