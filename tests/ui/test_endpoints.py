"""The use cases through `gradio_client`, against a real server."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import mutagen
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.pictures import picture
from tests.recordings import SONGS
from tests.still_studio import wait_until

UPLOAD = "/gradio_api/call/upload_audio"


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    return Client(server.url, verbose=False, download_files=downloads, httpx_kwargs={"timeout": 180})


def ended(state: Callable[[], dict]) -> dict:
    """What a task says of itself once it no longer goes on."""
    wait_until(lambda: state()["status"] != "running")
    return state()


@pytest.fixture(scope="module")
def dataset(client) -> dict:
    dataset = client.predict("My Dataset", ["Pop", "Electronic"], api_name="/create_dataset")
    for song in SONGS[:5]:
        client.predict(dataset["id"], handle_file(str(song)), caption="la la", api_name="/upload_audio")
    return client.predict(dataset["id"], api_name="/get_dataset")


@pytest.fixture(scope="module")
def seen(client, dataset) -> list[dict]:
    """All that /watch_job says of a short training."""
    settings = {"draws_per_epoch": 1, "batch_size": 1}  # for speed
    job = client.predict(
        dataset["id"], "lora", epochs=1, learning_rate=0.0001, settings=settings, api_name="/start_training"
    )
    assert job["status"] == "queued"
    return list(client.submit(job["id"], api_name="/watch_job"))


def test_songs_arrive_under_their_names(dataset):
    assert [song["filename"] for song in dataset["audio_files"]] == [song.name for song in SONGS[:5]]
    assert {song["caption"] for song in dataset["audio_files"]} == {"la la"}
    assert dataset["status"] == "ready"


def test_a_job_is_watched_to_its_end(client, seen):
    assert [job["status"] for job in seen][-1] == "completed"
    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 100.0
    assert isinstance(seen[-1]["loss"], float)
    assert seen[-1] == client.predict(seen[-1]["id"], api_name="/get_job")
    text, offset = client.predict(seen[-1]["id"], api_name="/job_logs")
    assert len(text.encode()) == offset


def test_a_song_comes_back_with_its_receipt_in_the_active_style(client, seen):
    checkpoint_id = seen[-1]["checkpoint_id"]
    assert client.predict(checkpoint_id, api_name="/activate")["is_active"]
    path, receipt = client.predict("fast", duration_sec=2.0, seed=7, format="flac", api_name="/generate")
    assert soundfile.info(path).duration == pytest.approx(receipt["duration_sec"], abs=0.1)
    assert (receipt["style"]["id"], receipt["request"]["seed"]) == (checkpoint_id, 7)
    assert not client.predict(checkpoint_id, api_name="/deactivate")["is_active"]
    mix = {checkpoint_id: {"strength": 0.5, "mlp_strength": 0}}
    _, receipt = client.predict("fast", duration_sec=1.0, styles=mix, api_name="/generate")
    assert [(style["strength"], style["mlp_strength"]) for style in receipt["styles"]] == [(0.5, 0)]
    with pytest.raises(AppError, match="'loudness'"):
        client.predict({checkpoint_id: {"loudness": 1}}, api_name="/activate_mix")


def test_a_song_in_a_style_of_its_own_and_two_compared(client, seen):
    checkpoint_id = seen[-1]["checkpoint_id"]
    path, receipt = client.predict("fast", duration_sec=1.0, style=checkpoint_id, strength=0.5, api_name="/generate")
    assert (receipt["style"]["id"], receipt["style"]["strength"]) == (checkpoint_id, 0.5)
    base, base_receipt, styled, styled_receipt = client.predict(
        checkpoint_id, "fast", duration_sec=1.0, seed=3, format="mp3", api_name="/compare"
    )
    assert (base_receipt["style"], styled_receipt["style"]["id"]) == (None, checkpoint_id)
    assert [soundfile.info(file).format for file in (path, base, styled)] == ["WAV", "MP3", "MP3"]
    base_request, styled_request = base_receipt["request"], styled_receipt["request"]
    what_suits_each = base_request.pop("temperature"), styled_request.pop("temperature")
    assert what_suits_each == (0.9, 1.1), "nano's"
    assert base_request == styled_request


def test_takes_are_told_apart_named_continued_made_again_and_taken_out(client, server, tmp_path):
    fiddle = {"tags": "fiddle", "duration_sec": 1.36, "seed": 3, "style": "base"}
    takes = client.predict(2, **fiddle, api_name="/generate_takes")
    first, second = (list(client.submit(take["id"], api_name="/watch_song"))[-1]["id"] for take in takes)
    assert client.predict(second, "Fiddle two", api_name="/rename_song")["title"] == "Fiddle two"
    assert client.predict(second, api_name="/star_song")["starred"]
    found = client.predict("fiddle", starred=True, api_name="/list_songs")
    assert [song["id"] for song in found] == [second]
    cover = picture(tmp_path / "cover.png")
    assert client.predict(second, handle_file(cover), api_name="/set_cover")["cover"].endswith(".png")
    assert Path(client.predict(second, api_name="/song_cover")).read_bytes() == cover.read_bytes()
    assert [take["id"] for take in client.predict(second, api_name="/list_takes")] == [first, second]
    event = httpx.post(f"{server.url}/gradio_api/call/list_songs", json={"data": []}).json()["event_id"]
    told = httpx.get(f"{server.url}/gradio_api/call/list_songs/{event}").text
    assert f'"id": "{second}"' in told, "a call that knows nothing of the parameters"
    archive = client.predict([first, second], "mp3", api_name="/download_songs")
    assert zipfile.ZipFile(archive).namelist() == ["fiddle.mp3", "Fiddle two.mp3"]
    path = client.predict(second, "opus", api_name="/song_file")
    assert mutagen.File(path)["title"] == ["Fiddle two"]
    assert client.predict(first, api_name="/keep_starred_takes")[0]["id"] == second
    _, replay = client.predict(second, api_name="/replay")
    assert replay["is_same"], replay
    path, receipt = client.predict(second, 0.48, {"duration_sec": 1.6}, api_name="/continue_song")
    assert receipt["prefix_frames"] == 6
    _, receipt = client.predict(second, 0.16, to_sec=1.04, api_name="/continue_song")
    assert (receipt["prefix_frames"], receipt["suffix_frames"]) == (2, receipt["frames"] - 13)
    _, receipt = client.predict(second, loudness_lufs=-30, format="wav24", api_name="/decode_song")
    assert receipt["loudness_lufs"] == pytest.approx(-30)


def test_examples_are_estimated_and_heard(client):
    dataset = client.predict(api_name="/create_example_dataset")
    assert len(dataset["audio_files"]) == 6
    assert client.predict(dataset["id"], api_name="/presets")[1]["name"] == "Balanced"
    estimate = client.predict(dataset["id"], epochs=2, settings={"max_steps": 7}, api_name="/estimate_training")
    assert (estimate["steps"], estimate["problems"]) == (7, [])
    assert client.predict(dataset["id"], api_name="/find_tempo_and_key")["tracks"][0]["proposals"]
    client.predict(dataset["id"], "rejected", api_name="/decide_proposals")
    first = dataset["audio_files"][0]["filename"]
    assert client.predict(dataset["id"], first, api_name="/preview_prompt")["windows"]
    tagged = client.predict(dataset["id"], first, 1, api_name="/decide_proposal")
    assert (len(tagged["tags"]), tagged["proposals"][0]["status"]) == (len(dataset["styles"]) + 1, "accepted")
    file, log_mel = client.predict(dataset["id"], dataset["audio_files"][0]["filename"], api_name="/hear")
    assert soundfile.info(file).format == "FLAC"
    assert 0.1 < log_mel < 2


def test_a_style_goes_out_and_comes_in(client, seen):
    archive = client.predict(seen[-1]["checkpoint_id"], api_name="/download_checkpoint")
    again = client.predict(handle_file(archive), "Again", ["techno"], api_name="/import_checkpoint")
    listed = client.predict(api_name="/list_checkpoints")
    assert again in listed
    [trained] = [checkpoint for checkpoint in listed if checkpoint["id"] == seen[-1]["checkpoint_id"]]
    kept = ("method", "base_model", "losses", "rights", "recipe")
    assert {name: again[name] for name in kept} == {name: trained[name] for name in kept}
    assert trained["rights"]
    parents = {again["id"]: 0.5, trained["id"]: 0.5}
    merged = client.predict("Both", parents, combination="svd", rank=4, api_name="/merge_checkpoints")
    assert [parent["id"] for parent in merged["merged_from"]] == list(parents)
    assert merged["rights"] == trained["rights"]
    client.predict(again["id"], api_name="/delete_checkpoint")
    assert again not in client.predict(api_name="/list_checkpoints")


def test_many_songs_are_edited_at_once(client, dataset):
    names = [song["filename"] for song in dataset["audio_files"][:2]]
    changed = client.predict(dataset["id"], names, ["live"], api_name="/update_tracks")
    assert [(song["filename"], song["tags"]) for song in changed] == [
        (name, ["Pop", "Electronic", "live"]) for name in names
    ]
    client.predict(dataset["id"], names, tags=[], api_name="/update_tracks")


def test_songs_are_cleaned_and_given_back(client, dataset):
    name = dataset["audio_files"][0]["filename"]
    (cleaned,) = client.predict(dataset["id"], [name], False, -30.0, api_name="/clean_tracks")
    assert cleaned["gain_db"] < -1
    (restored,) = client.predict(dataset["id"], [name], api_name="/restore_tracks")
    assert client.predict(dataset["id"], [name], False, -30.0, api_name="/start_cleaning")["total"] == 1
    task = ended(lambda: client.predict(dataset["id"], api_name="/get_cleaning"))
    assert (task["status"], task["tracks"]) == ("completed", [cleaned])
    with pytest.raises(AppError, match="Nothing is running"):
        client.predict(dataset["id"], api_name="/cancel_cleaning")
    client.predict(dataset["id"], [name], api_name="/restore_tracks")
    assert restored["gain_db"] == 0.0
    assert client.predict(dataset["id"], [name], api_name="/discard_originals") == [restored]


def test_songs_are_checked_in_the_background(client, dataset):
    assert client.predict(dataset["id"], api_name="/start_check")["total"] == len(dataset["audio_files"])
    task = ended(lambda: client.predict(dataset["id"], api_name="/get_check"))
    assert (task["status"], task["report"]) == ("completed", client.predict(dataset["id"], api_name="/check_sound"))
    with pytest.raises(AppError, match="Nothing is running"):
        client.predict(dataset["id"], api_name="/cancel_check")


def test_lyrics_are_looked_for_by_a_model_that_has_to_be_there(client, dataset):
    with pytest.raises(AppError, match="HeartTranscriptor"):
        client.predict(dataset["id"], "lyrics", api_name="/start_analysis")
    idle = client.predict(dataset["id"], "lyrics", api_name="/get_analysis")
    assert (idle["status"], idle["total"]) == ("idle", len(dataset["audio_files"]))
    with pytest.raises(AppError, match="Nothing is running"):
        client.predict(dataset["id"], "lyrics", api_name="/cancel_analysis")


def test_a_dataset_goes_out_and_comes_in(client, dataset):
    archive = client.predict(dataset["id"], api_name="/export_dataset")
    again = client.predict(handle_file(archive), "Again", ["Pop"], api_name="/import_dataset")
    assert (again["name"], again["skipped"]) == ("Again", [])
    assert [song["sha256"] for song in again["audio_files"]] == [song["sha256"] for song in dataset["audio_files"]]
    started = client.predict(handle_file(archive), "Once more", api_name="/start_import")
    task = ended(lambda: client.predict(started["id"], api_name="/get_import"))
    assert (task["status"], task["done"]) == ("completed", len(dataset["audio_files"]))
    assert task in client.predict(api_name="/list_imports")
    assert client.predict(task["dataset_id"], api_name="/get_dataset")["name"] == "Once more"
    with pytest.raises(AppError, match="Nothing is running"):
        client.predict(task["id"], api_name="/cancel_import")


def test_a_dataset_on_the_hub_is_named_as_it_is_there(client):
    for call in ("/pull_dataset", "/start_pull"):
        with pytest.raises(AppError, match="not the name of a repository"):
            client.predict("songs", api_name=call)


def test_a_stopped_job_is_resumed_cloned_and_deleted(client, seen, dataset):
    job = client.predict(seen[-1]["id"], {"epochs": 400}, api_name="/clone_job")
    stopped = client.predict(job["id"], save=False, api_name="/stop_job")
    list(client.submit(job["id"], api_name="/watch_job"))
    assert stopped["id"] == job["id"]
    assert client.predict(job["id"], api_name="/resume_job")["status"] == "queued"
    client.predict(job["id"], save=False, api_name="/stop_job")
    list(client.submit(job["id"], api_name="/watch_job"))
    client.predict(job["id"], api_name="/delete_job")
    assert job["id"] not in [other["id"] for other in client.predict(api_name="/list_jobs")]


def test_tags_of_ones_own(client):
    assert "my own" in client.predict("my own", api_name="/add_style")["custom"]
    assert "my own" not in client.predict("my own", api_name="/remove_style")["custom"]
    assert client.predict(api_name="/list_styles")["builtin"]


@pytest.mark.parametrize(
    ("arguments", "endpoint", "said"),
    [
        (("nope",), "/get_dataset", "There is no dataset 'nope'"),
        (("", []), "/create_dataset", "name"),
        (("nope",), "/watch_job", "There is no job 'nope'"),
        (("x", "", 0.0), "/generate", "duration_sec"),
        (("nope",), "/compare", "There is no checkpoint 'nope'"),
        (("nope",), "/estimate_training", "There is no dataset 'nope'"),
        (("nope", "a.ogg"), "/hear", "There is no dataset 'nope'"),
    ],
)
def test_what_is_wrong_is_said_as_in_rest(client, arguments, endpoint, said):
    with pytest.raises(AppError, match=said):
        client.predict(*arguments, api_name=endpoint)


def test_too_few_songs(client):
    empty = client.predict("Empty", api_name="/create_dataset")
    with pytest.raises(AppError, match="0 of 5"):
        client.predict(empty["id"], api_name="/start_training")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
@pytest.mark.parametrize("place", ["/etc/hostname", "manifest.json"])
def test_no_file_of_the_server_can_be_named(server, dataset, place, meta):
    """A mounted page counts as not launched: Gradio copied any file that a request named to where it is served."""
    own = server.data_dir / "datasets" / dataset["id"] / place
    body = {"data": [dataset["id"], {"path": str(own), **meta}, "", [], "unknown"]}
    event = httpx.post(f"{server.url}{UPLOAD}", json=body).json()["event_id"]
    answer = httpx.get(f"{server.url}{UPLOAD}/{event}", timeout=30).text
    assert answer.startswith("event: error")
    served = server.data_dir.with_name("data-gradio")
    assert not [path for path in served.rglob("*") if path.name == own.name]


def test_the_data_folder_is_not_served(server, dataset):
    for path in (server.data_dir / "datasets" / dataset["id"] / "manifest.json", "/etc/hostname", "app.py"):
        assert httpx.get(f"{server.url}/gradio_api/file={path}").status_code == 403


def test_every_endpoint_is_documented(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    wanted = """create_dataset list_datasets upload_audio start_training watch_job list_jobs stop_job resume_job
        list_checkpoints activate deactivate generate list_styles"""
    assert {f"/{name}" for name in wanted.split()} <= set(endpoints)
    assert all(endpoint["description"] for endpoint in endpoints.values())
