"""A meta.json that anybody may have written: what is kept of it, and that the rest is said."""

import json

import pytest

from heartmula_studio.store import provenance
from heartmula_studio.store.provenance import Provenance, read_provenance
from heartmula_studio.store.records import Checkpoint, Losses, TrackRights
from tests.store.conftest import checkpoint_record

TRACK = {"filename": "a.mp3", "sha256": "0" * 64, "rights": "licensed"}


def read(**meta) -> Provenance:
    return read_provenance(json.dumps(meta).encode())


def test_all_that_our_own_record_tells_is_kept():
    """**P**: rights, losses, recipe and styles of a style's zip."""
    values = checkpoint_record("abc").to_dict() | {
        "losses": {"train": 1.5, "initial": 3.0, "eval": None, "best": 2.0},
        "rights": [TRACK],
        "recipe": {"config": {"lora": {"rank": 8}}, "songs": ["a"], "step": 7},
    }
    record = Checkpoint.from_dict(values, None)
    kept = read_provenance(record.to_json())
    assert kept == Provenance(record.base_model, record.styles, record.losses, record.rights, record.recipe)
    assert kept.rights == (TrackRights("a.mp3", "0" * 64, "licensed"),)
    assert kept.losses == Losses(train=1.5, initial=3.0, best=2.0)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        *(("base_model", value) for value in ("nano", [], {"name": 7})),
        *(("styles", value) for value in ("Dub", [7], {"a": 1}, [f"style {n}" for n in range(60)])),
        *(("losses", value) for value in ([], {"train": -1}, {"train": "1"}, {"train": 1e300}, {"worst": 1.0})),
        *(("rights", value) for value in ({}, [7], [{**TRACK, "rights": "mine"}], [{**TRACK, "sha256": "x"}], [{}])),
        ("rights", [TRACK] * 10_001),
        *(("recipe", value) for value in ([], "x", {"a": 10**30}, {"a": 1e300})),
    ],
)
def test_a_part_that_is_not_what_it_should_be_is_left_out_and_named(part, value):
    kept = read(**{"styles": ["Dub"], "losses": {"best": 1.0}, part: value})
    assert getattr(kept, part) == getattr(Provenance(), part)
    assert part in kept.warnings[0]
    assert kept.losses.best == (None if part == "losses" else 1.0)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"not JSON", b"\xff", b"[" * 100_000, b'{"losses": NaN, ', b" " * (provenance.MAX_BYTES + 1)]
)
def test_what_cannot_be_read_is_said(raw):
    assert read_provenance(raw) == Provenance(warnings=(provenance.UNREADABLE,))


def test_numbers_that_are_none_and_endless_nesting_do_not_get_in():
    nested = b'{"recipe": ' + b'{"a":' * 500 + b"1" + b"}" * 501
    for raw in (nested, b'{"recipe": {"a": NaN}}', b'{"recipe": {"a": 1e999}}', b'{"losses": {"train": Infinity}}'):
        kept = read_provenance(raw)
        assert (kept.recipe, kept.losses) == ({}, Losses())
        assert kept.warnings


def test_text_is_made_safe_to_send_and_to_show():
    kept = read(
        styles=["Dub\u202e", " Dub "],
        rights=[{**TRACK, "filename": "../\ud800a\n.mp3"}],
        recipe={"\ud800": "\udfff"},
        base_model={"name": "na\0no", "fingerprint": "f00", "x": 1},
    )
    assert kept.styles == ("Dub",)
    assert kept.rights[0].filename == "../a .mp3"
    assert kept.recipe == {"?": "?"}
    assert kept.base_model == {"name": "nano", "fingerprint": "f00"}
    assert kept.warnings == ()
