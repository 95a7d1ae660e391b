"""Use cases across store, jobs and engine, on the bundled base with its clips."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import mutagen
import pytest

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.errors import (
    CheckpointMismatchError,
    ConflictError,
    InvalidInputError,
    NotAudioError,
    NotFoundError,
    StorageError,
)
from heartmula_studio.services.library.uploads import UploadService
from heartmula_studio.settings import Settings
from heartmula_studio.store.datasets import Datasets
from heartmula_studio.store.store import Store
from heartmula_studio.studio import Studio
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, tokenized, wait_until, zipped_adapter


@pytest.fixture
def settings(tmp_path) -> Settings:
    return settings_for(tmp_path / "data")


@pytest.fixture
def studio(settings) -> Studio:
    return still_studio(settings)


class TestSongs:
    @pytest.mark.parametrize("text_first", [True, False])
    def test_lyrics_find_their_song_whichever_comes_first(self, studio, tmp_path, text_first):
        dataset = studio.datasets.create("Mine")
        lyrics = tmp_path / "SÜSS.TXT"
        lyrics.write_bytes("Süße Träume".encode("latin-1"))
        files = [lyrics, shutil.copy(SONGS[0], tmp_path / "su\u0308ss.ogg")]
        for path in files if text_first else reversed(files):
            studio.datasets.add_file(dataset.id, path)
        assert [song.caption for song in studio.datasets.get(dataset.id).audio_files] == ["Süße Träume"]
        assert studio.datasets.get(dataset.id).waiting_texts == {}

    def test_a_wrong_file_is_refused_by_the_name_its_owner_knows(self, studio, tmp_path):
        dataset = studio.datasets.create("Mine")
        picture = tmp_path / "cover.mp3"
        picture.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100))
        with pytest.raises(NotAudioError, match=r"cover\.mp3") as caught:
            studio.datasets.add_file(dataset.id, picture)
        assert "tmp" not in caught.value.message
        assert studio.datasets.get(dataset.id).audio_files == ()

    def test_the_same_song_twice_is_noticed(self, studio):
        dataset = filled(studio, 1)
        with pytest.raises(ConflictError, match=SONGS[0].stem):
            studio.datasets.add_file(dataset.id, SONGS[0], "another name.ogg")

    def test_a_corrupt_song_does_not_keep_the_others_from_being_tokenized(self, studio):
        dataset = filled(studio, 3)
        studio.datasets.audio_path(dataset.id, SONGS[1].name).write_bytes(b"no music any more")
        songs = tokenized(studio, dataset).audio_files
        assert [song.frames is not None for song in songs] == [True, False, True]
        assert SONGS[1].name in songs[1].error

    def test_a_dataset_that_nobody_tokenizes_any_more_is_free_after_a_restart(self, studio, settings):
        dataset = filled(studio, 1)
        studio.store.datasets.set_processing(dataset.id, True)  # what a server that was killed leaves
        restarted = Studio.open(settings)
        restarted.begin()
        wait_until(lambda: restarted.datasets.get(dataset.id).status != "processing")
        restarted.close()
        assert restarted.datasets.get(dataset.id).status == "draft"


class TestExchange:
    def test_rights_lyrics_and_tags_come_back_to_the_byte(self, studio, tmp_path):
        """ "Rights are lost by export → import of a dataset", in every format and from a folder."""
        dataset = filled(studio, 2)
        edits = {"caption": "[verse]\n\n la\u2028lö, \"x\" ['a'] ", "tags": ["House, deep", "120"], "rights": "own"}
        studio.datasets.update_audio(dataset.id, SONGS[1].name, **edits)
        studio.datasets.update_audio(dataset.id, SONGS[0].name, tags=["x;y"], rights="public_domain")
        sources = [tmp_path / "folder"]
        studio.datasets.export_to_folder(dataset.id, sources[0])
        for format in ("folder", "parquet", "webdataset"):
            filename, pieces = studio.datasets.export(dataset.id, format)
            sources.append(tmp_path / filename)
            sources[-1].write_bytes(b"".join(pieces))
        came = [studio.imports.run_local(source) for source in sources]
        came.append(studio.imports.run(sources[-1], "Mine.tar"))
        assert [dataset.name for dataset in came] == ["folder", *["Mine"] * 4]
        assert {dataset.skipped for dataset in came} == {()}
        original = studio.datasets.get(dataset.id)
        expected = [(s.filename, s.sha256, s.caption, s.tags, s.rights) for s in original.audio_files]
        for dataset in came:
            assert [(s.filename, s.sha256, s.caption, s.tags, s.rights) for s in dataset.audio_files] == expected

    def test_what_training_reads_has_rights_too(self, studio):
        dataset = filled(studio, 1)
        with pytest.raises(ConflictError, match="1 of 1 songs are not tokenized"):
            studio.datasets.as_hf_dataset(dataset.id)
        tokenized(studio, dataset)
        rows = studio.datasets.as_hf_dataset(dataset.id)
        assert {"audio", "lyrics", "tags", "codes"} <= set(rows.column_names)
        assert rows["rights"][:] == ["unknown"]

    def test_what_was_left_out_is_reported(self, studio, tmp_path):
        source = tmp_path / "songs"
        source.mkdir()
        for name in ("a.ogg", "b.ogg"):
            shutil.copy(SONGS[0], source / name)
        (source / "cover.jpg").write_bytes(b"x")
        lines = [{"file_name": "a.ogg", "license": "All rights reserved"}, {"file_name": "c.ogg"}]
        (source / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        taken = studio.imports.run_local(source, "Mine")
        assert [song.filename for song in taken.audio_files] == ["a.ogg"]
        reasons = {item.name: item.reason for item in taken.skipped}
        assert set(reasons) == {"a.ogg", "b.ogg", "cover.jpg", "metadata.jsonl, line 2"}
        assert "All rights reserved" in reasons["a.ogg"]
        assert "same file as 'a.ogg'" in reasons["b.ogg"]

    def test_what_was_left_out_can_be_sent_whatever_its_name(self, studio, tmp_path):
        """Half characters in names of files and in metadata."""
        source = tmp_path / "songs"
        source.mkdir()
        shutil.copy(SONGS[0], source / "a.ogg")
        (source / os.fsdecode(b"\xff.txt")).write_text("la")
        (source / "metadata.jsonl").write_text('{"file_name": "a.ogg"}\n{"file_name": "\\ud800.ogg"}\n')
        skipped = studio.imports.run_local(source, "Mine").skipped
        assert len(skipped) == 2
        assert all(f"{item.name} {item.reason}".encode() for item in skipped)

    @pytest.mark.parametrize("name", ["x" * 300, "a\0b", "loop"])
    def test_sources_that_cannot_be_there_are_not_found(self, studio, tmp_path, name):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(NotFoundError):
            studio.imports.run_local(tmp_path / name)
        assert studio.datasets.list() == []

    def test_tags_that_are_too_many_or_too_long_are_left_out_by_name(self, studio, tmp_path):
        shutil.copy(SONGS[0], tmp_path / "a.ogg")
        row = {"file_name": "a.ogg", "tags": ["x" * 200, *(str(number) for number in range(60))]}
        (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
        taken = studio.imports.run_local(tmp_path, "Mine")
        assert len(taken.audio_files[0].tags) == 50
        assert [(item.name, item.reason[:24]) for item in taken.skipped] == [
            ("a.ogg", "A tag of over 100 charac"), ("a.ogg", "Of its 60 tags only the "),
        ]  # fmt: skip

    def test_a_text_of_any_name_reaches_its_song(self, studio, tmp_path):
        """What a text holds is told by its name, or by itself; tags that are there already stay."""
        dataset = studio.datasets.create("Mine")
        for filename, path in {"a.ogg": SONGS[0], "b.ogg": SONGS[1]}.items():
            studio.datasets.add_file(dataset.id, path, filename)
        texts = {"a_lyrics.txt": "la", "a.tags.txt": "pop", "a.caption.txt": "rock", "b.ogg.txt": "pop, piano"}
        texts |= {"b.en.srt": "1\n00:00:01,000 --> 00:00:02,000\nlo\n", "later_lyrics.txt": "le"}
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            studio.datasets.add_file(dataset.id, tmp_path / name)
        found = studio.datasets.get(dataset.id)
        assert [(song.caption[-3:].strip(), song.tags) for song in found.audio_files] == [
            ("la", ("pop",)), ("lo", ("pop", "piano")),
        ]  # fmt: skip
        assert found.waiting_texts == {"later": "le"}
        (tmp_path / "gone.tags.txt").write_text("pop")
        with pytest.raises(NotFoundError, match=r"no song for gone\.tags\.txt"):
            studio.datasets.add_file(dataset.id, tmp_path / "gone.tags.txt")

    def test_lyrics_inside_a_song_hold_where_nobody_gave_any(self, studio, tmp_path):
        dataset = studio.datasets.create("Mine")
        paths = [shutil.copy(SONGS[number], tmp_path / f"{number}.ogg") for number in range(3)]
        for path in paths:
            file = mutagen.File(path)
            file["lyrics"] = "inside"
            file.save()
        studio.datasets.add_file(dataset.id, paths[0])
        studio.datasets.add_file(dataset.id, paths[1], caption="given")
        (tmp_path / "2.txt").write_text("beside")
        studio.datasets.add_file(dataset.id, tmp_path / "2.txt")
        studio.datasets.add_file(dataset.id, paths[2])
        songs = studio.datasets.get(dataset.id).audio_files
        assert [song.caption for song in songs] == ["inside", "given", "beside"]

    def test_nobody_sees_half_a_dataset_nor_what_a_kill_leaves_of_it(self, studio, settings):
        """An import is listed at its end; what a killed process had of it goes at the next start."""
        with studio.store.new_dataset("Half") as (unlisted, id):
            UploadService(unlisted, AudioLimits()).add_file(id, SONGS[0], None, "", (), "own")
            assert studio.datasets.list() == []
            killed = shutil.copytree(unlisted.root, unlisted.root.with_name(".tmp-scratch-0123456789abcdef"))
        assert [len(dataset.audio_files) for dataset in studio.datasets.list()] == [1]
        Store(settings.data_dir).recover()
        assert not killed.exists()

    def test_a_full_disk_leaves_nothing(self, studio, tmp_path, monkeypatch):
        shutil.copy(SONGS[0], tmp_path / "a.ogg")

        def full_disk(*_):
            raise StorageError("The disk is full.")

        monkeypatch.setattr(Datasets, "add_audio", full_disk)
        with pytest.raises(StorageError):
            studio.imports.run_local(tmp_path, "Mine")
        assert studio.datasets.list() == []
        assert not list(studio.store.root.glob(".tmp-*"))

    def test_a_dataset_on_the_hub_that_cannot_be_had(self, studio):
        with pytest.raises(NotFoundError, match="as a dataset on the Hub it cannot be loaded"):
            studio.imports.run_local("nobody/nothing", "Mine")

    def test_exports_that_cannot_be(self, studio, tmp_path):
        dataset = studio.datasets.create("Empty")
        with pytest.raises(ConflictError, match="has no songs"):
            studio.datasets.export_to_file(dataset.id, "parquet", tmp_path / "x.parquet")
        (tmp_path / "mine").write_text("precious")
        dataset = filled(studio, 1)
        for place in (tmp_path, tmp_path / "mine"):
            with pytest.raises(ConflictError, match="already"):
                studio.datasets.export_to_folder(dataset.id, place)
        with pytest.raises(InvalidInputError, match="folder, parquet, webdataset"):
            studio.datasets.export(dataset.id, "mp3")
        assert (tmp_path / "mine").read_text() == "precious"

    def test_all_songs_come_in_or_none(self, studio, tmp_path):
        shutil.copy(SONGS[0], tmp_path / "a.ogg")
        (tmp_path / "b.ogg").write_bytes(b"no music")
        with pytest.raises(InvalidInputError, match=r"b\.ogg"):
            studio.imports.run_local(tmp_path, "Half")
        assert studio.datasets.list() == []

    def test_the_example_clips_can_be_learnt_from_at_once(self, studio):
        first, second = studio.datasets.create_examples(), studio.datasets.create_examples()
        assert first.id != second.id
        assert (first.name, first.status) == ("Example clips", "ready")
        assert {"techno", "synthesizer"} <= set(first.styles)
        assert [(song.filename, song.rights) for song in first.audio_files] == [(c.name, "licensed") for c in SONGS]
        assert {song.caption for song in first.audio_files} == {"[instrumental]"}
        assert studio.datasets.validate(first.id).problems == ()

    def test_all_example_clips_come_in_or_none(self, studio, monkeypatch):
        add_audio, added = Datasets.add_audio, []

        def full_disk(*arguments):
            if len(added) == 2:
                raise StorageError("The disk is full.")
            added.append(add_audio(*arguments))

        monkeypatch.setattr(Datasets, "add_audio", full_disk)
        with pytest.raises(StorageError):
            studio.datasets.create_examples()
        assert len(added) == 2
        assert studio.datasets.list() == []


class TestJobs:
    def test_too_few_songs_are_counted(self, studio):
        with pytest.raises(InvalidInputError, match="3 of 5 files"):
            studio.jobs.start(filled(studio, 3).id)

    def test_what_a_job_needs_cannot_be_deleted(self, studio):
        dataset = filled(studio)
        job = studio.jobs.start(dataset.id)
        for delete in (
            lambda: studio.datasets.delete(dataset.id),
            lambda: studio.datasets.remove_audio(dataset.id, SONGS[0].name),
        ):
            with pytest.raises(ConflictError, match=job.id):
                delete()
        studio.jobs.stop(job.id)
        studio.datasets.remove_audio(dataset.id, SONGS[0].name)
        studio.datasets.delete(dataset.id)
        assert studio.datasets.list() == []

    def test_the_learning_rate_is_the_guides_on_every_base_and_fitted_behind_it(self, studio):
        dataset = filled(studio)
        job = studio.jobs.start(dataset.id)
        assert job.learning_rate == 1e-4
        assert job.config["learning_rate_factor"] == 18
        assert studio.jobs.start(dataset.id, learning_rate=1e-5).learning_rate == 1e-5
        assert studio.jobs.start(dataset.id, "full").config["learning_rate_factor"] == 1

    def test_a_clone_of_another_method_has_the_learning_rate_of_that_method(self, studio):
        job = studio.jobs.start(filled(studio).id)
        assert studio.jobs.clone(job.id, seed=1).learning_rate == job.learning_rate
        assert studio.jobs.clone(job.id, method="full").learning_rate == 1e-4
        assert studio.jobs.clone(job.id, method="full", learning_rate=1e-5).learning_rate == 1e-5

    def test_a_clone_differs_where_it_should_only(self, studio):
        job = studio.jobs.start(filled(studio).id, epochs=7, learning_rate=5e-4, lora_rank=4, seed=3)
        clone = studio.jobs.clone(job.id, lora_rank=16, seed=4)
        assert clone.config == job.config | {"seed": 4, "lora": job.config["lora"] | {"rank": 16, "alpha": 32.0}}
        assert studio.jobs.clone(job.id, method="full").config["method"] == "full"

    def test_a_clone_keeps_the_precision_of_its_base_unless_its_method_changes(self, studio):
        job = studio.jobs.start(filled(studio).id, base_dtype="nf4")
        assert studio.jobs.clone(job.id, seed=4).config["base_dtype"] == "nf4"
        assert studio.jobs.clone(job.id, base_dtype="bfloat16").config["base_dtype"] == "bfloat16"
        assert studio.jobs.clone(job.id, method="full").config["base_dtype"] == "float32"
        full = studio.jobs.start(filled(studio).id, "full", base_dtype="bfloat16")
        assert studio.jobs.clone(full.id, epochs=2).config["base_dtype"] == "bfloat16"
        assert studio.jobs.clone(full.id, method="lora").config["base_dtype"] == "float32"

    def test_a_setting_that_is_none_makes_no_job(self, studio):
        with pytest.raises(InvalidInputError, match="learning_rat"):
            studio.jobs.start(filled(studio).id, learning_rat=1e-4)
        assert studio.jobs.list() == []


class TestCheckpoints:
    @pytest.fixture
    def adapter(self, tmp_path) -> Path:
        return zipped_adapter(tmp_path)

    def test_what_is_active_survives_a_restart_and_is_not_deleted(self, studio, settings, adapter):
        checkpoint = studio.checkpoints.import_archive(adapter, "Elsewhere", ["Dub"])
        assert studio.checkpoints.activate(checkpoint.id, 1.5).is_active
        restarted = Studio(settings, Store(settings.data_dir))
        assert restarted.checkpoints.get(checkpoint.id).strength == 1.5
        assert restarted.health().active_checkpoint == checkpoint.id
        with pytest.raises(ConflictError, match="is active"):
            restarted.checkpoints.delete(checkpoint.id)
        restarted.checkpoints.deactivate(checkpoint.id)
        restarted.checkpoints.delete(checkpoint.id)
        assert restarted.checkpoints.list() == []

    def test_a_checkpoint_of_another_base_is_refused_with_the_reason(self, studio, adapter):
        checkpoint = studio.checkpoints.import_archive(adapter, "Elsewhere")
        other = dataclasses.replace(
            checkpoint, id=studio.store.checkpoints.new_id(), base_model={"name": "3B", "fingerprint": "f" * 16}
        )
        studio.store.checkpoints.publish(studio.store.checkpoints.folder(checkpoint.id), other)
        with pytest.raises(CheckpointMismatchError, match="another base: 3B"):
            studio.checkpoints.activate(other.id)
        assert studio.health().active_checkpoint is None

    def test_an_import_that_fits_no_base_leaves_nothing(self, studio, tmp_path):
        with pytest.raises(CheckpointMismatchError):
            studio.checkpoints.import_archive(zipped_adapter(tmp_path, layer=99, width=3), "Elsewhere")
        assert studio.checkpoints.list() == []

    def test_a_download_is_one_file_that_can_be_taken_in_elsewhere(self, studio, tmp_path, adapter):
        checkpoint = studio.checkpoints.import_archive(adapter, "Elsewhere/../<b>", ["Dub"])
        filename, pieces = studio.checkpoints.download(checkpoint.id)
        download = tmp_path / filename
        download.write_bytes(b"".join(pieces))
        again = studio.checkpoints.import_archive(download, "Again")
        assert (again.method, again.size_bytes) == ("lora", checkpoint.size_bytes)
        assert studio.checkpoints.activate(again.id).is_active

    def test_trained_styles_are_listed(self, studio, tmp_path, adapter):
        checkpoint = studio.checkpoints.import_archive(adapter, "Elsewhere", ["Dub", "Slow"])
        studio.tags.add("my own")
        styles = studio.tags.list()
        assert [(style.name, style.checkpoint_id) for style in styles.trained] == [
            ("Dub", checkpoint.id),
            ("Slow", checkpoint.id),
        ]
        assert "my own" in styles.custom
