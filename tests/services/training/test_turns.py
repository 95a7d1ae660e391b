"""Whose turn it is: priorities first, then owners one after another, each in the order they asked."""

import dataclasses

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.training.placement import Placement
from heartmula_studio.services.training.turns import in_turn
from heartmula_studio.store.records import Job

JOB = Job("", "d1", "Mine", "lora", 1, 1e-4, 8, "nano", "cpu", {}, "2026-01-01T00:00:00+00:00")


def job(id, owner="", priority=0, started=None):
    minute = f"2026-01-01T00:{ord(id) - ord('a'):02d}:00+00:00"
    started_at = started and f"2026-01-01T{started:02d}:00:00+00:00"
    return dataclasses.replace(JOB, id=id, owner=owner, priority=priority, queued_at=minute, started_at=started_at)


def order(waiting, *others):
    return "".join(one.id for one in in_turn(waiting, [*waiting, *others]))


def test_one_owner_is_served_in_the_order_of_asking():
    assert order([job("c"), job("a"), job("b")]) == "abc"


def test_owners_take_turns_however_many_jobs_one_has():
    assert order([*(job(id, "ann") for id in "abcd"), job("e", "bob"), job("f", "cem"), job("g", "bob")]) == "aefbgcd"


def test_whoever_had_a_turn_longest_ago_is_next():
    begun = [job("x", "ann", started=3), job("y", "bob", started=2), job("z", "bob", started=1)]
    assert order([job("a", "ann"), job("b", "bob"), job("c", "cem")], *begun) == "cba"


def test_a_higher_priority_goes_first_and_owners_take_turns_within_each():
    waiting = [job("a", "ann"), job("b", "ann", 5), job("c", "ann", 5), job("d", "bob", 5), job("e", "bob", -1)]
    assert order(waiting) == "bdcae"


def test_twenty_jobs_of_three_owners_begin_fairly():
    """Played as the queue does, one start after another: nobody waits while another has two turns."""
    owners = ["ann"] * 12 + ["bob"] * 5 + ["cem"] * 3
    waiting, begun = [job(chr(ord("a") + n), owner) for n, owner in enumerate(owners)], []
    while waiting:
        first = in_turn(waiting, waiting + begun)[0]
        waiting.remove(first)
        begun.append(dataclasses.replace(first, started_at=f"2026-01-02T00:{len(begun):02d}:00+00:00"))
    assert [one.owner for one in begun] == ["ann", "bob", "cem"] * 3 + ["ann", "bob"] * 2 + ["ann"] * 7
    assert len({one.id for one in begun}) == 20


@pytest.mark.parametrize(("priority", "owner"), [(11, ""), (-11, ""), (0, "o" * 101)])
def test_what_is_outside_the_limits_is_refused(priority, owner):
    with pytest.raises(InvalidInputError):
        Placement(priority=priority, owner=owner)
