"""Stored styles merged into one: what is known of its parents goes along, and nothing is left of one that fails."""

import dataclasses

import pytest

from heartmula_studio.errors import CheckpointError, InvalidInputError, NotFoundError
from heartmula_studio.files.hashing import file_sha256
from heartmula_studio.store.records import Checkpoint, MergedParent, StyleChoice, TrackRights
from heartmula_studio.studio import Studio
from tests.still_studio import settings_for, still_studio, zipped_adapter

SHARED, OTHER = TrackRights("a.mp3", "a" * 64, "own"), TrackRights("b.mp3", "b" * 64, "licensed")


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return still_studio(settings_for(tmp_path_factory.mktemp("studio") / "data"))


@pytest.fixture(scope="module")
def one(studio, tmp_path_factory) -> Checkpoint:
    return studio.checkpoints.import_archive(zipped_adapter(tmp_path_factory.mktemp("one")), "One", ["Fado"])


@pytest.fixture(scope="module")
def two(studio, tmp_path_factory) -> Checkpoint:
    return studio.checkpoints.import_archive(zipped_adapter(tmp_path_factory.mktemp("two"), layer=1), "Two", ["Dub"])


def known_as(studio: Studio, style: Checkpoint, **changes) -> StyleChoice:
    """A style with the same weights of which something else is known."""
    record = dataclasses.replace(style, id=studio.store.checkpoints.new_id(), **changes)
    return StyleChoice(studio.store.checkpoints.publish(studio.store.checkpoints.folder(style.id), record).id)


def weights(studio: Studio, id: str) -> str:
    return file_sha256(studio.store.checkpoints.folder(id) / "adapter_model.safetensors")


def test_parents_are_named_with_their_hashes(studio, one, two):
    merged = studio.checkpoints.merge("Both", [StyleChoice(one.id, 0.5), StyleChoice(two.id, mlp_strength=0.0)])
    assert (merged.styles, merged.method, merged.change.changed) == (("Fado", "Dub"), "lora", 2)
    assert merged.merged_from == (
        MergedParent(one.id, "One", weights(studio, one.id), 0.5),
        MergedParent(two.id, "Two", weights(studio, two.id), 1.0, None, 0.0),
    )
    assert merged.recipe["merge"]["combination"] == "cat"
    record = studio.checkpoints.provenance(merged.id)
    assert [parent["sha256"] for parent in record["parents"]] == [weights(studio, one.id), weights(studio, two.id)]
    assert record["adapter_sha256"] == weights(studio, merged.id)
    assert studio.checkpoints.get(merged.id).merged_from == merged.merged_from


def test_rights_trigger_words_and_near_copies_go_along(studio, one, two):
    first = known_as(studio, one, rights=(SHARED,), trigger_word="zxq", figures={"is_near_copy": True, "told": 0.9})
    second = known_as(studio, two, rights=(SHARED, OTHER), trigger_word="zxq")
    third = known_as(studio, two, rights=(OTHER,), trigger_word="wub")
    merged = studio.checkpoints.merge("Both", [first, second])
    assert (merged.rights, merged.trigger_word) == ((SHARED, OTHER), "zxq")
    assert merged.figures == {"is_near_copy": True}
    merged = studio.checkpoints.merge("Both", [second, third])
    assert (merged.figures, merged.trigger_word) == ({}, "")
    assert "zxq, wub" in merged.warnings[0]
    unknown = studio.checkpoints.merge("Both", [first, StyleChoice(two.id)])
    assert unknown.rights == ()


def test_what_a_rank_has_no_room_for_is_said(studio, one, two):
    choices = [StyleChoice(one.id), known_as(studio, one)]
    ties = studio.checkpoints.merge("Both", choices, combination="ties_svd", rank=1, density=0.01)
    assert "no room for" in ties.warnings[0]


def test_what_cannot_be_merged_leaves_nothing(studio, one, two):
    before = studio.checkpoints.list()
    for error, name, choices, settings in (
        (InvalidInputError, "Both", [StyleChoice(one.id)], {}),
        (InvalidInputError, "Both", [StyleChoice(one.id)] * 2, {}),
        (InvalidInputError, "", [StyleChoice(one.id), StyleChoice(two.id)], {}),
        (InvalidInputError, "Both", [StyleChoice(one.id, 3.0), StyleChoice(two.id)], {}),
        (InvalidInputError, "Both", [StyleChoice(one.id), StyleChoice(two.id)], {"density": 2.0}),
        (NotFoundError, "Both", [StyleChoice(one.id), StyleChoice("none")], {}),
    ):
        with pytest.raises(error):
            studio.checkpoints.merge(name, choices, **settings)
    damaged = known_as(studio, one)
    path = studio.store.checkpoints.folder(damaged.id) / "adapter_model.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-100])
    with pytest.raises(CheckpointError, match=r"^One/adapter_model\.safetensors"):
        studio.checkpoints.merge("Both", [damaged, StyleChoice(two.id)])
    studio.checkpoints.delete(damaged.id)
    assert studio.checkpoints.list() == before
    assert not list(studio.store.root.glob(".tmp-*"))
