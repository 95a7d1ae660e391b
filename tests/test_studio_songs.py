"""Songs in a style of their own, compared and mixed; on the bundled base."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
import soundfile
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.errors import (
    CannotReplayError,
    CheckpointCorruptError,
    CheckpointMismatchError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import codes_path
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.services.songs.prefixes import Continuation, around
from heartmula_studio.store.records import Generation, StyleChoice, utc_now
from heartmula_studio.studio import Studio
from tests.generate.test_replay import RECEIPT
from tests.still_studio import filled, settings_for, still_studio, vanishing_adapter, wait_until, zipped_adapter

pytestmark = pytest.mark.usefixtures("short_windows")
Used = tuple[str, float] | None


@pytest.fixture
def studio(tmp_path) -> Iterator[Studio]:
    studio = still_studio(settings_for(tmp_path / "data"))
    yield studio
    studio.close()


@pytest.fixture
def style_id(studio, tmp_path) -> str:
    return studio.checkpoints.import_archive(zipped_adapter(tmp_path), "Elsewhere").id


def another(studio: Studio, style_id: str, **changes) -> str:
    """A checkpoint with the same weights and other words about it."""
    record = dataclasses.replace(studio.checkpoints.get(style_id), id=studio.store.checkpoints.new_id(), **changes)
    return studio.store.checkpoints.publish(studio.store.checkpoints.folder(style_id), record).id


def made(studio: Studio, *songs: Generation) -> list[Generation]:
    def now() -> list[Generation]:
        return [studio.songs.get(song.id) for song in songs]

    wait_until(lambda: all(song.status in ("completed", "failed") for song in now()))
    return now()


def styles_of(songs: list[Generation]) -> list[Used]:
    """The style and strength of each song, of which receipt and record say the same."""
    styles = [song.receipt["style"] for song in songs]
    used = [style and (style["id"], style["strength"]) for style in styles]
    assert [song.checkpoint_id and (song.checkpoint_id, song.strength) for song in songs] == used
    return used


class TestStyles:
    def test_each_song_is_made_in_its_own_style_and_the_active_one_stays(self, studio, style_id):
        other = another(studio, style_id)
        studio.checkpoints.activate(style_id, 0.5)
        wanted = [("active", None), ("base", None), (other, None), (other, 2.0), ("active", None)]
        songs = [
            studio.songs.generate(SongRequest(duration_sec=1.0, seed=1), style=style, strength=strength)
            for style, strength in wanted
        ]
        assert [(song.style, song.style_strength) for song in songs] == wanted
        studio.songs.open()
        active = (style_id, 0.5)
        assert styles_of(made(studio, *songs)) == [active, None, (other, 1.0), (other, 2.0), active]
        assert studio.checkpoints.get(style_id).strength == 0.5

    def test_a_style_that_is_gone_fails_its_song_only(self, studio, style_id):
        gone = another(studio, style_id)
        songs = [
            studio.songs.generate(SongRequest(duration_sec=1.0), style=style) for style in (style_id, gone, "base")
        ]
        studio.checkpoints.delete(gone)
        studio.songs.open()
        styled, failed, plain = made(studio, *songs)
        assert failed.error.code == "checkpoint_missing"
        assert gone in failed.error.message
        assert styles_of([styled, plain]) == [(style_id, 1.0), None]

    def test_a_chosen_style_that_no_song_can_be_made_in_is_taken_back(self, studio, tmp_path, monkeypatch):
        """**P**: what passes the check at activation and still gives NaN does not stay chosen for every song.

        Such a style is refused as it comes in, where there is memory to try it.
        """
        vanishing = vanishing_adapter(tmp_path)
        with pytest.raises(CheckpointCorruptError, match="style.zip, what the model computes is not a number"):
            studio.checkpoints.import_archive(vanishing, "Vanishing")
        monkeypatch.setattr("heartmula_studio.generate.peft_check.free_bytes", lambda device: 0)
        checkpoint = studio.checkpoints.import_archive(vanishing, "Vanishing")
        assert studio.checkpoints.activate(checkpoint.id).is_active
        request = SongRequest(duration_sec=1.0)
        songs = [studio.songs.generate(request, style=style) for style in (checkpoint.id, "active", "active")]
        studio.songs.open()
        named, chosen, plain = made(studio, *songs)
        assert [song.error.code for song in (named, chosen)] == ["checkpoint_corrupt"] * 2
        assert "Vanishing" in chosen.error.message
        assert "no longer active" in chosen.error.hint
        assert "active" not in named.error.hint
        assert styles_of([plain]) == [None]
        assert not studio.checkpoints.get(checkpoint.id).is_active

    def test_what_cannot_be_is_refused_at_once(self, studio, style_id):
        foreign = another(studio, style_id, base_model={"name": "3B", "fingerprint": "f" * 16})
        with pytest.raises(InvalidInputError, match="wav, flac, mp3"):
            studio.songs.generate(SongRequest(), "exe")
        for style, strength, error in (
            ("none", None, NotFoundError),
            ("../up", None, NotFoundError),
            (foreign, None, CheckpointMismatchError),
            (style_id, 3.0, InvalidInputError),
            ("base", 1.0, InvalidInputError),
            ("active", 1.0, InvalidInputError),
        ):
            with pytest.raises(error):
                studio.songs.generate(SongRequest(), style=style, strength=strength)
        for checkpoint_id in ("none", "base", "active"):
            with pytest.raises(NotFoundError):
                studio.songs.compare(checkpoint_id, SongRequest())
        assert studio.songs.list() == []

    def test_songs_from_before_styles_could_be_chosen_can_be_read(self, studio):
        song = studio.songs.generate(SongRequest())
        values = {name: value for name, value in song.to_dict().items() if not name.startswith("style")}
        assert Generation.from_dict(values, studio.store.root) == song
        assert song.style == "active"


class TestMadeAgain:
    def test_a_song_in_a_style_is_made_again_bit_for_bit_and_decoded_anew(self, studio, style_id):
        """Of a style, weights and trigger word count, and not by which id it goes."""
        copy = another(studio, style_id)
        studio.songs.open()
        request = SongRequest("fast", duration_sec=1.0, seed=1)
        [song] = made(studio, studio.songs.generate(request, style=style_id, strength=0.5))
        studio.checkpoints.delete(style_id)
        receipt = studio.songs.receipt(song.id)
        [again] = made(studio, studio.songs.replay(receipt))
        assert again.replay.is_same, again.replay.said
        assert again.styles == (StyleChoice(copy, 0.5),)
        [anew] = made(studio, studio.songs.decode(song.id, DecodeSettings(decode_steps=2), "flac"))
        assert (anew.decoded_from, anew.receipt["decode_steps"], anew.format) == (song.id, 2, "flac")
        assert anew.receipt["codes_sha256"] == song.receipt["codes_sha256"]
        [last] = made(studio, studio.songs.replay(studio.songs.receipt(anew.id)))
        assert last.replay.is_same, last.replay.said
        studio.checkpoints.delete(copy)
        with pytest.raises(CannotReplayError, match=f"The style {style_id} .* is not here"):
            studio.songs.replay(receipt)

    def test_what_cannot_be_made_again_is_refused_at_once(self, studio):
        waiting = studio.songs.generate(SongRequest())
        with pytest.raises(ConflictError):
            studio.songs.receipt(waiting.id)
        with pytest.raises(ConflictError):
            studio.songs.decode(waiting.id, DecodeSettings())
        with pytest.raises(CannotReplayError, match="made with the base 3B .* made with the codec other"):
            studio.songs.replay(replace(RECEIPT, base="3B", codec_id="other"))

    def test_a_song_of_an_earlier_release_has_no_codes(self, studio):
        song = Generation(studio.store.generations.new_id(), {}, "wav", utc_now(), "completed", receipt=asdict(RECEIPT))
        studio.store.generations.create(song)
        with pytest.raises(ConflictError, match="no codes"):
            studio.songs.decode(song.id, DecodeSettings())


class TestGoingOn:
    def test_a_song_goes_on_from_another_one_and_is_made_again(self, studio):
        studio.songs.open()
        [song] = made(studio, studio.songs.generate(SongRequest("fast", duration_sec=2.0, seed=1)))
        asked = studio.songs.continue_song(song.id, Continuation({"tags": "slow", "seed": 2}), 0.8)
        assert (asked.continues, asked.from_sec, asked.request["duration_sec"]) == (song.id, 0.8, 2.8)
        [longer] = made(studio, asked)
        both = [SongCodes.load(codes_path(studio.songs.path(id))).codes for id in (song.id, longer.id)]
        assert torch.equal(both[0][:, :10], both[1][:, :10])
        receipt = studio.songs.receipt(longer.id)
        studio.songs.delete(song.id)
        [again] = made(studio, studio.songs.replay(receipt))
        assert again.replay.is_same, again.replay.said
        for second in (0.0, -1.0, 99.0, float("nan")):
            with pytest.raises(InvalidInputError, match="no second"):
                studio.songs.continue_song(longer.id, Continuation(), second)
        for id in (longer.id, again.id):
            studio.songs.delete(id)
        with pytest.raises(CannotReplayError, match="continues is not here"):
            studio.songs.replay(receipt)

    def test_a_stretch_is_made_anew_and_again(self, studio):
        studio.songs.open()
        [song] = made(studio, studio.songs.generate(SongRequest("fast", duration_sec=2.4, seed=1)))
        asked = studio.songs.continue_song(song.id, Continuation(), 0.4, 1.6)
        assert (asked.continues, asked.from_sec, asked.to_sec) == (song.id, 0.4, 1.6)
        assert asked.request["seed"] != 1
        assert {**asked.request, "seed": 1} == {**song.request, "duration_sec": 2.4}
        [anew] = made(studio, asked)
        both = [SongCodes.load(codes_path(studio.songs.path(id))).codes for id in (song.id, anew.id)]
        differs = (both[0] != both[1]).any(dim=0)
        assert differs[5:20].any()
        assert not differs[:5].any()
        assert not differs[20:].any()
        receipt = studio.songs.receipt(anew.id)
        studio.songs.delete(song.id)
        [again] = made(studio, studio.songs.replay(receipt))
        assert again.replay.is_same, again.replay.said

    @pytest.mark.parametrize(
        ("from_sec", "to_sec"),
        [(0.4, 0.4), (1.2, 0.4), (-1.0, 1.2), (0, 0.4), (0.4, 2.4), (0.4, 99.0), (math.nan, 1.2), (0, math.inf)],
    )
    def test_what_is_no_stretch_of_a_song_is_refused(self, studio, from_sec, to_sec):
        codes = SongCodes(torch.zeros(8, 30, dtype=torch.int16), "codec", 1)
        with pytest.raises(InvalidInputError, match="cannot be remade"):
            around(codes, from_sec, to_sec)

    def test_a_song_goes_on_from_a_recording_once_it_is_tokenized(self, studio):
        dataset = filled(studio, 1)
        name = dataset.audio_files[0].filename
        with pytest.raises(ConflictError, match="not tokenized"):
            studio.songs.continue_track(dataset.id, name, Continuation(), 1.0)
        codes = torch.randint(0, 60, (8, 30), dtype=torch.int16)
        codec_id = stored_codebook_id(find_base("nano").codec)
        Tokens(codes, 12.5, codec_id, "", 2.4).save(studio.store.datasets.tokens_path(dataset.id, name))
        asked = studio.songs.continue_track(dataset.id, name, Continuation({"duration_sec": 2.0}), 1.0)
        studio.songs.open()
        [song] = made(studio, asked)
        kept = SongCodes.load(codes_path(studio.songs.path(song.id))).codes
        assert torch.equal(kept[:, :12], codes[:, :12])
        assert (song.continues, song.from_sec) == (name, 0.96)
        going_on = Continuation.by(SongRequest("fast", duration_sec=3.0, seed=1), "flac")
        for second, lasts_sec in ((1.0, 3.96), (None, 5.4)):
            longer = studio.songs.continue_track(dataset.id, name, going_on, second)
            assert (longer.request["duration_sec"], longer.format) == (lasts_sec, "flac")
            studio.songs.cancel(longer.id)


class TestTakes:
    def test_takes_are_starred_and_the_others_deleted(self, studio):
        takes = studio.songs.generate_takes(SongRequest("fast", duration_sec=1.0, seed=3), 3)
        other = studio.songs.generate(SongRequest())
        assert [take.request["seed"] for take in takes] == [3, 4, 5]
        assert studio.songs.takes(takes[1].id) == takes
        assert studio.songs.takes(other.id) == [other]
        with pytest.raises(ConflictError, match="No take has a star"):
            studio.songs.keep_starred_takes(takes[0].id)
        assert studio.songs.star(takes[1].id).starred
        with pytest.raises(ConflictError, match="being made"):
            studio.songs.keep_starred_takes(takes[0].id)
        for take in (takes[0], takes[2]):
            studio.songs.cancel(take.id)
        assert [take.id for take in studio.songs.keep_starred_takes(takes[0].id)] == [takes[1].id]
        assert [song.id for song in studio.songs.list()] == [takes[1].id, other.id]
        again = studio.songs.try_another_seed(takes[1].id)
        assert again.request | {"seed": 4} == takes[1].request
        assert again.request["seed"] != 4

    @pytest.mark.parametrize("count", [0, 9])
    def test_too_many_takes_are_refused(self, studio, count):
        with pytest.raises(InvalidInputError, match="1 to 8"):
            studio.songs.generate_takes(SongRequest(), count)


class TestComparing:
    def test_base_and_style_differ_in_the_style_only(self, studio, style_id):
        pair = studio.songs.compare(style_id, SongRequest("fast", duration_sec=1.0), strength=2.0)
        assert pair[0].request == pair[1].request
        studio.songs.open()
        songs = made(studio, *pair)
        assert styles_of(songs) == [None, (style_id, 2.0)]
        base, styled = (soundfile.read(studio.songs.path(song.id))[0] for song in songs)
        assert base.shape != styled.shape or (base != styled).any()
        assert studio.health().active_checkpoint is None

    def test_none_of_the_two_is_made_where_one_cannot_be_asked_for(self, studio, style_id, monkeypatch):
        create, created = studio.store.generations.create, []

        def full_disk(*arguments):
            if created:
                raise StorageError("The disk is full.")
            created.append(create(*arguments))
            return created[0]

        monkeypatch.setattr(studio.store.generations, "create", full_disk)
        with pytest.raises(StorageError):
            studio.songs.compare(style_id, SongRequest())
        assert studio.songs.list() == []


def test_a_song_is_made_in_a_mix_that_its_receipt_names(studio, style_id):
    other = another(studio, style_id, trigger_word="zxq")
    choices = [StyleChoice(style_id, 0.5), StyleChoice(other, 1.0, mlp_strength=0.0)]
    mixed = studio.checkpoints.activate_mix(choices)
    assert [(style.is_active, style.strength, style.mlp_strength) for style in mixed] == [
        (True, 0.5, None),
        (True, 1, 0),
    ]
    studio.songs.open()
    [song] = made(studio, studio.songs.generate(SongRequest("piano", duration_sec=1.0, seed=1)))
    assert [(style["id"], style["strength"], style["trigger_word"]) for style in song.receipt["styles"]] == [
        (style_id, 0.5, ""), (other, 1.0, "zxq"),
    ]  # fmt: skip
    [own] = made(studio, studio.songs.generate(SongRequest("piano", duration_sec=1.0), styles=choices[::-1]))
    assert [style["id"] for style in own.receipt["styles"]] == [other, style_id]
    assert (own.style, own.styles, own.checkpoint_id) == ("mix", tuple(choices[::-1]), other)
    for style, styles, error in ((style_id, choices, "be combined"), ("active", [choices[0]] * 2, "given twice")):
        with pytest.raises(InvalidInputError, match=error):
            studio.songs.generate(SongRequest(), style=style, styles=styles)
    assert not studio.checkpoints.deactivate(style_id).is_active
    assert studio.store.checkpoints.active_styles() == (choices[1],)
    with pytest.raises(ConflictError):
        studio.checkpoints.deactivate(style_id)
    with pytest.raises(InvalidInputError, match="No style"):
        studio.checkpoints.activate_mix([])
