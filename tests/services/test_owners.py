"""How much one person may ask for."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from heartmula_studio.errors import TooManyRequestsError
from heartmula_studio.services.owners import CALLER, refuse_too_many

UNDER_WAY = [SimpleNamespace(owner=owner) for owner in ("ann", "ann", "bob", "")]


@contextmanager
def asked_by(owner: str):
    token = CALLER.set(owner)
    yield
    CALLER.reset(token)


def test_a_user_may_have_so_many_and_is_told_what_to_do():
    with asked_by("ann"):
        refuse_too_many("song", UNDER_WAY, 2, 4)
        with pytest.raises(
            TooManyRequestsError, match="ann has 2 songs waiting or under way, and asks for 3 more"
        ) as e:
            refuse_too_many("song", UNDER_WAY, 3, 4)
    assert "may have 4 at a time" in e.value.hint


@pytest.mark.parametrize(("caller", "most"), [("", 1), ("ann", None)])
def test_nothing_limits_who_has_no_name_nor_a_server_without_limits(caller, most):
    with asked_by(caller):
        refuse_too_many("song", UNDER_WAY, 100, most)
