"""Parts that are made when they are asked for, and again where what they are made of has changed."""

import pytest

from heartmula_studio.services.lazy import Lazy


def test_a_part_follows_the_one_it_is_made_of():
    source, made = ["nano"], []
    base = Lazy(lambda: {"name": source[0]})
    engine = Lazy(lambda: made.append(source[0]) or object(), of=base)
    assert not base.renew()  # there is none yet
    first = engine.get()
    assert engine.get() is first
    assert not base.renew()  # as it was
    assert engine.get() is first
    source[0] = "3B"
    assert base.renew()
    assert engine.get() is not first
    assert made == ["nano", "3B"]


def test_what_cannot_be_made_again_is_none():
    answers = iter([1, ValueError("gone"), 3])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    part = Lazy(make)
    assert part.get() == 1
    with pytest.raises(ValueError, match="gone"):
        part.renew()
    assert part.made is None
    assert part.get() == 3
