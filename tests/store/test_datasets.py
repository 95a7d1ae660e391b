"""Songs, their lyrics and the state of a dataset."""

import hashlib
import unicodedata

import psutil
import pytest

from heartmula_studio.errors import (
    AudioMissingError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UploadTooLargeError,
)
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.store import Store

FORMS = ["Café", unicodedata.normalize("NFD", "Café"), "CAFÉ", "café"]


def files(store, dataset) -> list[str]:
    """All that lies in a dataset's folder, temporaries included."""
    folder = store.datasets.folder(dataset.id)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_dataset_is_an_empty_draft(store):
    dataset = store.datasets.create_dataset(" My Dataset ", ["Pop", "Electronic", "pop"])
    assert (dataset.name, dataset.styles, dataset.status) == ("My Dataset", ("Pop", "Electronic"), "draft")
    assert store.datasets.list() == [dataset]
    assert {path.name for path in store.datasets.folder(dataset.id).iterdir()} == {
        "manifest.json",
        "audio",
        "processed",
    }


def test_renaming_changes_what_is_given(store, dataset):
    assert store.datasets.rename(dataset.id, name="New").styles == ("Pop",)
    assert store.datasets.rename(dataset.id, styles=["Jazz"]).name == "New"
    with pytest.raises(InvalidInputError):
        store.datasets.rename(dataset.id, name=" ")
    assert store.datasets.get(dataset.id).name == "New"


def test_a_song_is_kept_as_it_came(store, dataset, add_song):
    song = add_song("Ärger.MP3", b"content", caption="la\r\nla", tags=["loud", "Loud"], rights="own")
    assert song.filename == "Ärger.mp3"
    assert (song.caption, song.tags, song.rights) == ("la\nla", ("loud",), "own")
    assert song.sha256 == hashlib.sha256(b"content").hexdigest()
    assert (song.size_bytes, song.duration_sec, song.sample_rate, song.channels) == (7, 60.0, 48_000, 2)
    assert store.datasets.audio_path(dataset.id, "ÄRGER.MP3").read_bytes() == b"content"
    assert store.datasets.get(dataset.id).audio_files == (song,)
    assert files(store, dataset) == ["audio/Ärger.mp3", "manifest.json"]


def test_the_suffix_follows_the_content(store, dataset):
    with store.datasets.receive(dataset.id, "song.exe") as incoming:
        incoming.write(b"x")
        song = store.datasets.add_audio(dataset.id, incoming, TrackAudio(60.0, 48_000, 2, ".flac"))
    assert song.filename == "song.flac"


def test_what_is_received_and_not_added_vanishes(store, dataset):
    with store.datasets.receive(dataset.id, "a.mp3") as incoming:
        incoming.write(b"first half")
        assert incoming.path.read_bytes() == b"first half"
    assert files(store, dataset) == ["manifest.json"]
    assert not list((store.root / ".locks").glob("upload*"))


def test_an_upload_over_the_limit_is_refused_where_it_crosses_it(tmp_path):
    store = Store(tmp_path, max_upload_bytes=10)
    dataset = store.datasets.create_dataset("Mine")
    with store.datasets.receive(dataset.id, "a.mp3") as incoming:
        incoming.write(b"0123456789")
        with pytest.raises(UploadTooLargeError, match="a.mp3 is over the limit of 10 bytes"):
            incoming.write(b"x")
    with store.datasets.receive(dataset.id, "a.mp3", max_bytes=3) as incoming, pytest.raises(UploadTooLargeError):
        incoming.write(b"0123")
    assert files(store, dataset) == ["manifest.json"]


def test_a_long_upload_takes_no_memory(store, dataset):
    process, chunk = psutil.Process(), bytes(1_000_000)
    with store.datasets.receive(dataset.id, "long.wav") as incoming:
        incoming.write(chunk)
        before, most = process.memory_info().rss, 0
        for _ in range(200):
            incoming.write(chunk)
            most = max(most, process.memory_info().rss)
        store.datasets.add_audio(dataset.id, incoming, TrackAudio(60.0, 48_000, 2))
    assert max(most, process.memory_info().rss) - before < 16 * 2**20
    assert store.datasets.audio_path(dataset.id, "long.wav").stat().st_size == 201_000_000


def test_the_same_song_twice_is_noticed_whatever_its_name(store, dataset, add_song):
    add_song("one.mp3", b"same")
    with pytest.raises(ConflictError, match="same file as 'one.mp3'"):
        add_song("two.mp3", b"same")
    assert files(store, dataset) == ["audio/one.mp3", "manifest.json"]


def test_names_and_stems_are_unique_in_any_case_and_form(store, dataset, add_song):
    names = [add_song(f"{form}.mp3").filename for form in FORMS] + [add_song("café.wav").filename]
    assert names == ["Café.mp3", "Café (2).mp3", "CAFÉ (3).mp3", "café (4).mp3", "café (5).wav"]
    assert len({store.datasets.tokens_path(dataset.id, name) for name in names}) == 5
    assert store.datasets.tokens_path(dataset.id, "Café.mp3").name == "Café.pt"


def test_a_dataset_takes_so_many_songs(tmp_path):
    store = Store(tmp_path, max_files=1)
    dataset = store.datasets.create_dataset("Mine")
    for name in ("a.mp3", "b.mp3"):
        with store.datasets.receive(dataset.id, name) as incoming:
            incoming.write(name.encode())
            if name == "b.mp3":
                with pytest.raises(UploadTooLargeError, match="holds 1 file, which is the limit"):
                    store.datasets.add_audio(dataset.id, incoming, TrackAudio(1.0, 48_000, 1))
            else:
                store.datasets.add_audio(dataset.id, incoming, TrackAudio(1.0, 48_000, 1))
    assert files(store, dataset) == ["audio/a.mp3", "manifest.json"]


@pytest.mark.parametrize(
    "details",
    [{"rights": "stolen"}, {"tags": ["x" * 101]}, {"caption": "x" * 100_001}],
    ids=["rights", "tags", "caption"],
)
def test_wrong_details_are_refused_and_nothing_is_kept(store, dataset, add_song, details):
    with pytest.raises(InvalidInputError):
        add_song("a.mp3", **details)
    assert files(store, dataset) == ["manifest.json"]


@pytest.mark.parametrize("text_form", FORMS)
@pytest.mark.parametrize("song_form", FORMS)
@pytest.mark.parametrize("text_first", [True, False])
def test_a_text_finds_its_song_by_stem(store, dataset, add_song, text_form, song_form, text_first):
    if text_first:
        assert store.datasets.add_text(dataset.id, f"{text_form}.txt", "la") is None
        assert add_song(f"{song_form}.mp3").caption == "la"
    else:
        add_song(f"{song_form}.mp3")
        assert store.datasets.add_text(dataset.id, f"{text_form}.LRC", "la").caption == "la"
    assert store.datasets.get(dataset.id).waiting_texts == {}


@pytest.mark.parametrize("stem", ["../../x", "a:b", "con", "x" * 300, "é" * 300, " .song. ", "..", "so\u202eng"])
def test_a_text_finds_its_song_where_the_name_has_to_change(store, dataset, add_song, stem):
    """The suffixes differ in length, so that a long stem was cut at another place."""
    store.datasets.add_text(dataset.id, f"{stem}.txt", "la")
    assert add_song(f"{stem}.flac").caption == "la"


def test_a_caption_goes_before_a_waiting_text_and_a_later_text_before_both(store, dataset, add_song):
    store.datasets.add_text(dataset.id, "a.txt", "waiting")
    assert add_song("a.mp3", caption="given").caption == "given"
    assert store.datasets.get(dataset.id).waiting_texts == {}
    assert store.datasets.add_text(dataset.id, "a.txt", "later").caption == "later"


def test_a_later_waiting_text_replaces_an_earlier_one_and_there_are_so_many(tmp_path):
    store = Store(tmp_path, max_files=2)
    dataset = store.datasets.create_dataset("Mine")
    for name, text in (("a.txt", "1"), ("b.txt", "2"), ("A.txt", "3")):
        store.datasets.add_text(dataset.id, name, text)
    with pytest.raises(UploadTooLargeError, match="2 texts wait"):
        store.datasets.add_text(dataset.id, "c.txt", "4")
    assert store.datasets.get(dataset.id).waiting_texts == {"b": "2", "A": "3"}


def test_editing_a_song_changes_what_is_given(store, dataset, add_song):
    add_song("a.mp3", caption="la", tags=["loud"])
    store.datasets.update_audio(dataset.id, "a.mp3", rights="licensed")
    song = store.datasets.update_audio(dataset.id, "A.mp3", caption="", tags=[])
    assert (song.caption, song.tags, song.rights, song.ending) == ("", (), "licensed", "as_heard")
    assert store.datasets.update_audio(dataset.id, "a.mp3", ending="cut_off").ending == "cut_off"
    song = store.datasets.update_audio(dataset.id, "a.mp3", ending="ends")
    with pytest.raises(InvalidInputError, match="'maybe'"):
        store.datasets.update_audio(dataset.id, "a.mp3", ending="maybe")
    with pytest.raises(InvalidInputError, match="'mine'"):
        store.datasets.update_audio(dataset.id, "a.mp3", rights="mine")
    assert store.datasets.get(dataset.id).audio_files == (song,)


def test_removing_a_song_removes_its_tokens(store, dataset, add_song):
    for name in ("a.mp3", "b.mp3"):
        add_song(name)
        store.datasets.tokens_path(dataset.id, name).write_bytes(b"")
    store.datasets.remove_audio(dataset.id, "A.MP3")
    assert files(store, dataset) == ["audio/b.mp3", "manifest.json", "processed/b.pt"]
    with pytest.raises(NotFoundError, match="no song 'a.mp3'"):
        store.datasets.remove_audio(dataset.id, "a.mp3")


def test_a_song_whose_file_is_gone_can_be_removed(store, dataset, add_song):
    add_song("a.mp3")
    store.datasets.audio_path(dataset.id, "a.mp3").unlink()
    with pytest.raises(AudioMissingError):
        store.datasets.audio_path(dataset.id, "a.mp3")
    store.datasets.remove_audio(dataset.id, "a.mp3")
    assert store.datasets.get(dataset.id).audio_files == ()


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "", ".", "..", "a\0.mp3", "b.mp3", "audio/a.mp3"])
def test_only_listed_songs_are_found(store, dataset, add_song, name):
    add_song("a.mp3")
    datasets, id = store.datasets, dataset.id
    for call in (datasets.audio_path, datasets.tokens_path, datasets.update_audio, datasets.remove_audio):
        with pytest.raises(NotFoundError):
            call(id, name)
    with pytest.raises(NotFoundError):
        datasets.set_tokens(id, name, 1)


def test_the_status_follows_the_songs(store, dataset, add_song):
    def status() -> str:
        return store.datasets.get(dataset.id).status

    names = [f"{i}.mp3" for i in range(5)]
    for name in names[:4]:
        add_song(name)
    assert status() == "draft"
    add_song(names[4])
    assert status() == "ready"
    store.datasets.set_processing(dataset.id, True)
    for name in names:
        store.datasets.set_tokens(dataset.id, name, 750)
        assert status() == "processing"
    assert store.datasets.set_processing(dataset.id, False).status == "processed"
    store.datasets.set_tokens(dataset.id, names[0], None, "it is cut short")
    assert status() == "error"
    store.datasets.remove_audio(dataset.id, names[0])
    assert status() == "draft"
    add_song("new.mp3")
    assert status() == "ready"


def test_a_dataset_deleted_during_an_upload_takes_it_along(store, dataset):
    with store.datasets.receive(dataset.id, "a.mp3") as incoming:
        store.datasets.delete(dataset.id)
        incoming.write(b"x")
        with pytest.raises(NotFoundError):
            store.datasets.add_audio(dataset.id, incoming, TrackAudio(1.0, 48_000, 1))
    assert list(store.datasets.root.iterdir()) == []


def test_no_upload_for_an_unknown_dataset(store):
    with pytest.raises(NotFoundError), store.datasets.receive("unknown", "a.mp3"):
        pass


def test_what_was_heard_of_a_song_goes_with_it(store, dataset, add_song, tmp_path):
    for name in ("a.mp3", "b.mp3"):
        add_song(name)
        (tmp_path / "heard.flac").write_bytes(b"heard")
        kept = store.datasets.keep_heard(dataset.id, name, tmp_path / "heard.flac")
        assert (kept.name, kept.read_bytes()) == (f"{name[0]}.flac", b"heard")
    orphan = kept.with_name("orphan.flac")
    orphan.touch()
    store.datasets.recover()
    assert not orphan.exists()
    store.datasets.remove_audio(dataset.id, "a.mp3")
    assert [path.name for path in kept.parent.iterdir()] == ["b.flac"]


def test_nothing_heard_is_kept_of_a_song_that_was_removed(store, dataset, add_song, tmp_path):
    add_song("a.mp3")
    store.datasets.remove_audio(dataset.id, "a.mp3")
    heard = tmp_path / "heard.flac"
    heard.touch()
    with pytest.raises(NotFoundError):
        store.datasets.keep_heard(dataset.id, "a.mp3", heard)
    assert not list(store.datasets.folder(dataset.id).rglob("*.flac"))
