"""Tags: those that come along, and a person's own."""

import pytest

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from heartmula_studio.store.names import checked_name, name_key
from heartmula_studio.store.store import Store


def test_builtin_styles_are_clean_and_different(store):
    builtin = store.styles.builtin
    assert len(builtin) >= 50
    assert len(set(map(name_key, builtin))) == len(builtin)
    assert all(checked_name(style, "style") == style and "," not in style for style in builtin)


def test_custom_styles_stay_in_the_order_they_came(tmp_path, store):
    assert store.styles.list() == []
    assert store.styles.add("  Zeuhl ") == "Zeuhl"
    store.styles.add("Afrobeat")
    assert Store(tmp_path / "data").styles.list() == ["Zeuhl", "Afrobeat"]
    store.styles.remove("zeuhl")
    assert store.styles.list() == ["Afrobeat"]


@pytest.mark.parametrize("name", ["afrobeat", "AFROBEAT", " Afrobeat", "POP"])
def test_a_style_is_there_once_in_any_case(store, name):
    store.styles.add("Afrobeat")
    with pytest.raises(ConflictError):
        store.styles.add(name)
    assert store.styles.list() == ["Afrobeat"]


@pytest.mark.parametrize("name", ["", " ", "\0", "a, b", "x" * 101])
def test_a_style_is_one_tag(store, name):
    with pytest.raises(InvalidInputError):
        store.styles.add(name)


@pytest.mark.parametrize("name", ["pop", "unknown", "../styles.json"])
def test_only_custom_styles_can_be_removed(store, name):
    with pytest.raises(NotFoundError):
        store.styles.remove(name)


def test_a_damaged_file_is_explained_and_kept(store):
    (store.root / "styles.json").write_text('{"schema": 9}')
    with pytest.raises(StorageError, match="schema 9"):
        store.styles.add("Afrobeat")
    assert (store.root / "styles.json").read_text() == '{"schema": 9}'
    assert store.styles.list() == []
