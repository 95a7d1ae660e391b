"""What goes beyond the guide over HTTP: examples, estimates, listening, comparing, formats."""

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from heartmula_studio.codec.cover import read_cover
from heartmula_studio.codec.sound_check import measure_sound
from heartmula_studio.codec.tags import read_tags
from tests.pictures import picture
from tests.routes.test_failures import failure
from tests.routes.waiting import wait_for
from tests.still_studio import zipped_adapter

SHORT = {"tags": "fast", "duration_sec": 1.0, "seed": 7}


@pytest.fixture(scope="module")
def example(client) -> dict:
    made = client.post("/training/datasets/examples", timeout=240)
    assert made.status_code == 201
    return made.json()


@pytest.fixture(scope="module")
def style_id(client, tmp_path_factory) -> Iterator[str]:
    archive = zipped_adapter(tmp_path_factory.mktemp("adapter"))
    files = {"file": (archive.name, archive.read_bytes())}
    imported = client.post("/training/checkpoints/import", files=files, data={"name": "Elsewhere"})
    yield imported.json()["id"]
    client.delete(f"/training/checkpoints/{imported.json()['id']}")


def test_the_example_dataset_is_listed_and_complete(client, example):
    assert example in client.get("/training/datasets").json()
    assert (example["name"], len(example["audio_files"]), example["status"]) == ("Example clips", 6, "ready")


def test_an_estimate_takes_what_a_job_takes(client, example, dataset_id):
    jobs = client.get("/training/jobs").json()
    settings = {"dataset_id": example["id"], "method": "lora", "epochs": 4, "lora_rank": 4, "owner": "maria"}
    answer = client.post("/training/estimate", json=settings)
    assert answer.status_code == 200
    assert (answer.json()["steps"], answer.json()["problems"], answer.json()["device"]) == (72, [], "cpu")
    (problem,) = client.post("/training/estimate", json={"dataset_id": dataset_id}).json()["problems"]
    assert "0 of 5" in problem["message"]
    assert problem["hint"]
    failure(client.post("/training/estimate", json={**settings, "epochs": 0}), 422, "invalid_input")
    presets = client.get("/training/presets", params={"dataset_id": example["id"]}).json()
    assert [preset["name"] for preset in presets] == ["Fast", "Balanced", "Thorough"]
    fast = client.post("/training/estimate", json={"dataset_id": example["id"]} | presets[0]["settings"]).json()
    assert (fast["steps"], fast["advice"]) == (presets[0]["steps"], [])
    failure(client.post("/training/estimate", json={**settings, "dataset_id": "none"}), 404, "not_found")
    assert client.get("/training/jobs").json() == jobs


def test_tempo_and_key_are_proposed_accepted_and_undone(client, example):
    path = f"/training/datasets/{example['id']}"
    tracks = client.post(f"{path}/tempo-and-key", timeout=240).json()["tracks"]
    assert [track["filename"] for track in tracks] == [song["filename"] for song in example["audio_files"]]
    proposal = tracks[0]["proposals"][0]
    assert [proposal[name] for name in ("number", "kind", "status")] == [1, "tempo", "open"]
    one = f"{path}/audio/{tracks[0]['filename']}/proposals/1"
    accepted = client.put(one, json={"status": "accepted"}).json()
    assert accepted["tags"] == [*example["styles"], proposal["value"]]
    read = client.get(one.removesuffix("/proposals/1") + "/prompt").json()
    assert read["tags"] == ",".join(accepted["tags"]).lower()
    assert [window["start_sec"] for window in read["windows"]] == [0]
    failure(client.put(one.replace("/1", "/99"), json={"status": "accepted"}), 404, "not_found")
    failure(client.put(one, json={"status": "perhaps"}), 422, "invalid_input")
    background = f"{path}/analyses/tempo_and_key"
    assert client.get(background).json()["status"] == "completed"
    failure(client.post(f"{background}/cancel"), 409, "conflict")
    failure(client.get(f"{path}/analyses/guesses"), 422, "invalid_input")
    failure(client.post(f"{path}/analyses/lyrics", json={"language": "en"}), 404, "not_found")
    assert client.post(background, json={}).json()["total"] == len(tracks)
    assert wait_for(client, background)["done"] == 6
    undone = client.put(f"{path}/proposals", json={"status": "open"}).json()
    assert [song["tags"] for song in undone["audio_files"]] == [song["tags"] for song in example["audio_files"]]


def test_many_songs_are_edited_at_once_all_or_none(client, example):
    path, names = f"/training/datasets/{example['id']}", [song["filename"] for song in example["audio_files"][:2]]
    edits = [{"filename": names[0], "add_tags": ["live"]}, {"filename": names[1], "rights": "licensed"}]
    changed = client.put(f"{path}/tracks", json={"tracks": edits}).json()
    assert [song["filename"] for song in changed] == names
    assert (changed[0]["tags"], changed[1]["rights"]) == ([*example["styles"], "live"], "licensed")
    before = client.get(path).json()
    undone = [{"filename": names[0], "tags": []}, {"filename": names[1], "rights": example["audio_files"][1]["rights"]}]
    failure(client.put(f"{path}/tracks", json={"tracks": [*undone, {"filename": "no.mp3"}]}), 404, "not_found")
    failure(client.put(f"{path}/tracks", json={"tracks": [{**undone[0], "title": "x"}]}), 422, "invalid_input")
    assert client.get(path).json() == before
    client.put(f"{path}/tracks", json={"tracks": undone}).raise_for_status()


def test_songs_are_checked_in_the_background(client, example):
    path, length = f"/training/datasets/{example['id']}", len(example["audio_files"])
    check = f"{path}/checks/sound"
    begun = client.post(check)
    assert (begun.status_code, begun.json()["kind"], begun.json()["total"]) == (202, "sound", length)
    ended = wait_for(client, check)
    assert (ended["status"], ended["done"], ended["report"]) == (
        "completed",
        length,
        client.get(f"{path}/sound").json(),
    )
    failure(client.post(f"{check}/cancel"), 409, "conflict")
    idle = client.get(f"{path}/checks/lyrics").json()
    assert (idle["status"], idle["report"]["tracks"], "explanation" in idle["report"]) == ("idle", [], True)
    failure(client.post(f"{path}/checks/tempo"), 422, "invalid_input")
    failure(client.get("/training/datasets/none/checks/sound"), 404, "not_found")


def test_songs_are_cleaned_and_given_back(client, example):
    path, name = f"/training/datasets/{example['id']}", example["audio_files"][0]["filename"]
    one, before = f"{path}/audio/{name}", client.get(path).json()["audio_files"]
    settings = {"trim_silence": False, "loudness_lufs": -30.0}
    cleaned = client.put(f"{one}/cleaning", json=settings).json()
    assert (cleaned["cleaned"]["has_original"], cleaned["cleaned"]["cut_start_sec"]) == (True, 0.0)
    assert cleaned["sha256"] != before[0]["sha256"]
    assert client.get(one).headers["content-type"] == "audio/flac"
    assert client.delete(f"{one}/cleaning").json() == before[0]
    failure(client.delete(f"{one}/cleaning"), 409, "conflict")
    failure(client.delete(f"{one}/original"), 409, "conflict")
    many = client.post(f"{path}/cleaning", json={"filenames": [name], **settings}).json()["tracks"]
    assert [(track["filename"], track["error"]) for track in many] == [(name, None)]
    assert many[0]["gain_db"] == cleaned["cleaned"]["gain_db"] < -1
    assert client.post(f"{path}/cleaning/start", json=settings).json()["total"] == len(before)
    task = wait_for(client, f"{path}/cleaning")
    assert (task["status"], task["done"], task["tracks"][0]) == ("completed", len(before), many[0])
    failure(client.post(f"{path}/cleaning/cancel"), 409, "conflict")
    failure(client.post(f"{path}/cleaning/start", json={"filenames": ["no such"]}), 404, "not_found")
    failure(client.put(f"{one}/cleaning", json={"loudness_lufs": 1.0}), 422, "invalid_input")
    failure(client.delete(f"{path}/originals", params={"filename": "no such"}), 404, "not_found")
    assert len(client.delete(f"{path}/cleaning").json()["tracks"]) == len(before)
    assert client.get(path).json()["audio_files"] == before


def test_a_song_as_the_model_hears_it(client, example):
    path = f"/training/datasets/{example['id']}/audio/{example['audio_files'][0]['filename']}/heard"
    heard = client.get(path, timeout=240)
    assert heard.status_code == 200
    assert heard.headers["Content-Type"] == "audio/flac"
    assert 0.1 < float(heard.headers["X-Log-Mel-Distance"]) < 2
    assert soundfile.info(io.BytesIO(heard.content)).duration == pytest.approx(24, abs=0.2)
    part = client.get(path, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"fLaC")
    assert part.headers["X-Log-Mel-Distance"] == heard.headers["X-Log-Mel-Distance"]
    failure(client.get(f"/training/datasets/{example['id']}/audio/none.ogg/heard"), 404, "not_found")


def test_base_and_style_are_compared_and_handed_out_in_any_format(client, style_id):
    asked = client.post(f"/training/checkpoints/{style_id}/compare", json={**SHORT, "strength": 2.0})
    assert asked.status_code == 202
    base, styled = (wait_for(client, f"/generate/{asked.json()[name]['id']}") for name in ("base", "styled"))
    assert base["receipt"]["style"] is None
    assert (styled["receipt"]["style"]["id"], styled["receipt"]["style"]["strength"]) == (style_id, 2.0)
    assert base["request"] == styled["request"]
    for format, media_type, name, written in (
        ("wav", "audio/wav", "song.wav", ("WAV", "PCM_16")),
        ("wav24", "audio/wav", "song.24bit.wav", ("WAV", "PCM_24")),
        ("mp3", "audio/mpeg", "song.mp3", ("MP3", "MPEG_LAYER_III")),
        ("flac", "audio/flac", "song.flac", ("FLAC", "PCM_16")),
        ("opus", "audio/ogg", "song.opus", ("OGG", "OPUS")),
    ):
        audio = client.get(f"/generate/{styled['id']}/audio", params={"format": format})
        assert (audio.status_code, audio.headers["Content-Type"]) == (200, media_type)
        assert name in audio.headers["Content-Disposition"]
        info = soundfile.info(io.BytesIO(audio.content))
        assert (info.format, info.subtype) == written
    failure(client.get(f"/generate/{styled['id']}/audio", params={"format": "exe"}), 422, "invalid_input")
    failure(client.post("/training/checkpoints/none/compare"), 404, "not_found")


def test_a_song_in_a_style_of_its_own(client, style_id):
    active = client.get("/health").json()["active_checkpoint"]
    asked = client.post("/generate/music", json={**SHORT, "style": style_id, "strength": 0.5})
    assert (asked.status_code, asked.json()["style"]) == (202, style_id)
    song = wait_for(client, f"/generate/{asked.json()['id']}")
    assert song["receipt"]["style"]["strength"] == 0.5
    assert client.get("/health").json()["active_checkpoint"] == active != style_id
    songs = client.get("/generate").json()
    failure(client.post("/generate/music", json={**SHORT, "style": "none"}), 404, "not_found")
    failure(client.post("/generate/music", json={**SHORT, "style": "base", "strength": 1.0}), 422, "invalid_input")
    assert client.get("/generate").json() == songs


def test_a_song_is_heard_goes_on_is_made_again_and_decoded_anew(client, tmp_path):
    song = asked_for(client, "/generate/music", {**SHORT, "style": "base"})
    heard = client.get(f"/generate/{song['id']}/stream")
    assert heard.headers["Content-Type"] == "audio/wav"
    whole = client.get(f"/generate/{song['id']}/audio").content
    samples = [np.frombuffer(content[content.index(b"data") + 8 :], "int16") for content in (heard.content, whole)]
    assert np.array_equal(samples[0], samples[1][: len(samples[0])])
    assert len(samples[0]) == soundfile.info(io.BytesIO(whole)).frames * 2

    longer = {"song_id": song["id"], "from_sec": 0.48, "duration_sec": 1.6, "lyrics": "la"}
    on = asked_for(client, "/generate/continue", longer)
    assert (on["continues"], on["from_sec"], on["request"]["lyrics"]) == (song["id"], 0.48, "la")
    again = asked_for(client, "/generate/replay", {"song_id": on["id"]})
    assert again["replay"]["is_same"], again["replay"]
    anew = asked_for(client, "/generate/continue", {"song_id": on["id"], "from_sec": 0.16, "to_sec": 1.2})
    assert (anew["from_sec"], anew["to_sec"], anew["request"]["duration_sec"]) == (0.16, 1.2, 1.6)
    assert anew["receipt"]["suffix_frames"] == 5
    failure(client.post("/generate/continue", json={"song_id": on["id"], "to_sec": 9}), 422, "invalid_input")
    softer = {"decode_steps": 3, "loudness_lufs": -30.0}
    anew = asked_for(client, f"/generate/{song['id']}/decode", softer)
    assert anew["decoded_from"] == song["id"]
    assert (tmp_path / "softer.wav").write_bytes(client.get(f"/generate/{anew['id']}/audio").content)
    assert measure_sound(tmp_path / "softer.wav").loudness_lufs == pytest.approx(-30, abs=0.2)
    assert (anew["message"], anew["receipt"]["loudness_lufs"]) == ("", pytest.approx(-30))
    failure(client.post("/generate/continue", json={**longer, "from_sec": 50}), 422, "invalid_input")
    failure(client.post("/generate/replay", json={"song_id": "none"}), 404, "not_found")


def test_of_several_takes_the_starred_one_stays(client):
    asked = client.post("/generate/takes", json={**SHORT, "style": "base", "takes": 2})
    assert asked.status_code == 202, asked.text
    first, second = (wait_for(client, f"/generate/{take['id']}") for take in asked.json())
    assert second["request"]["seed"] == first["request"]["seed"] + 1
    assert {first["take_of"], second["take_of"]} == {first["id"]}
    assert client.post(f"/generate/{second['id']}/star", json={}).json()["starred"]
    kept = client.post(f"/generate/{first['id']}/keep").json()
    assert [take["id"] for take in kept] == [second["id"]]
    failure(client.get(f"/generate/{first['id']}"), 404, "not_found")
    failure(client.post("/generate/takes", json={**SHORT, "takes": 9}), 422, "invalid_input")
    alike = client.post(f"/generate/{second['id']}/another")
    assert alike.status_code == 202, alike.text
    request = alike.json()["request"]
    assert request | {"seed": 0} == second["request"] | {"seed": 0}
    assert request["seed"] != second["request"]["seed"]
    client.post(f"/generate/{alike.json()['id']}/cancel")


def test_takes_are_made_one_after_the_other_until_one_ends(client):
    asked = client.post("/generate/takes", json={**SHORT, "style": "base", "takes": 1, "until_end": True})
    [take] = asked.json()
    made = wait_for(client, f"/generate/{take['id']}")
    assert (made["receipt"]["tried"], made["ended"]) == ([made["request"]["seed"]], made["receipt"]["ended"])
    assert [one["id"] for one in client.get(f"/generate/{take['id']}/takes").json()] == [take["id"]]


def test_songs_are_found_named_and_taken_out(client, tmp_path):
    song = asked_for(client, "/generate/music", {**SHORT, "tags": "hurdy-gurdy", "lyrics": "la", "style": "base"})
    path = f"/generate/{song['id']}"
    assert client.put(path, json={"title": "Żółw"}).json()["title"] == "Żółw"
    found = client.get("/generate", params={"search": "hurdy żółw", "style": "base", "sort": "newest", "limit": 1})
    assert ([one["id"] for one in found.json()], found.headers["X-Total-Count"]) == ([song["id"]], "1")
    zipped = client.post("/generate/zip", json={"ids": [song["id"]], "format": "flac"})
    assert zipped.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        archive.extract("Żółw.flac", tmp_path)
    tags = read_tags(tmp_path / "Żółw.flac")
    said = {"title": "Żółw", "genre": "hurdy-gurdy", "lyrics": "la", "model": "nano", "date": song["created_at"][:10]}
    assert said.items() <= tags.items()
    assert "AI-generated" in tags["comment"]
    assert "trainedAlgorithmicMedia" in tags["digital_source_type"]
    image = (tmp_path / "cover.png", tmp_path / "Żółw.mp3")
    picture(image[0])
    covered = client.post(f"{path}/cover", files={"file": ("any.gif", image[0].read_bytes())})
    assert covered.status_code == 200, covered.text
    assert client.get(f"{path}/cover").content == image[0].read_bytes()
    image[1].write_bytes(client.get(f"{path}/audio", params={"format": "mp3"}).content)
    assert read_cover(image[1]).data == image[0].read_bytes()
    failure(client.post(f"{path}/cover", files={"file": ("cover.png", b"no image")}), 415, "not_an_image")
    assert client.delete(f"{path}/cover").json()["cover"] == ""
    failure(client.get(f"{path}/cover"), 404, "not_found")
    failure(client.put(path, json={"title": " "}), 422, "invalid_input")
    failure(client.put("/generate/none", json={"title": "a"}), 404, "not_found")
    failure(client.post("/generate/zip", json={"ids": [song["id"], "none"]}), 404, "not_found")
    failure(client.get("/generate", params={"sort": "best"}), 422, "invalid_input")
    failure(client.get("/generate", params={"sort": "title", "cursor": "a~b"}), 422, "invalid_input")


def asked_for(client, path: str, body: dict) -> dict:
    """The song as it was made."""
    answer = client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    made = wait_for(client, f"/generate/{answer.json()['id']}")
    assert made["status"] == "completed", made["error"]
    return made


def test_styles_are_merged_into_one_that_names_them(client, style_id, tmp_path):
    files = {"file": ("style.zip", zipped_adapter(tmp_path, layer=1).read_bytes())}
    other = client.post("/training/checkpoints/import", files=files, data={"name": "Other"}).json()["id"]
    styles = [{"id": style_id, "strength": 0.5}, {"id": other, "mlp_strength": 0.0}]
    made = client.post("/training/checkpoints/merge", json={"name": "Both", "styles": styles, "tags": ["fado"]})
    assert made.status_code == 201, made.text
    assert (made.json()["styles"], made.json()["change"]["changed"]) == (["fado"], 2)
    assert [(p["name"], p["strength"]) for p in made.json()["merged_from"]] == [("Elsewhere", 0.5), ("Other", 1.0)]
    provenance = client.get(f"/training/checkpoints/{made.json()['id']}/provenance").json()
    assert provenance["parents"] == made.json()["merged_from"]
    before = client.get("/training/checkpoints").json()
    for body in ({"styles": styles[:1]}, {"styles": [styles[0]] * 2}, {"styles": styles, "combination": "average"}):
        failure(client.post("/training/checkpoints/merge", json={"name": "Both", **body}), 422, "invalid_input")
    assert client.get("/training/checkpoints").json() == before
    for id in (made.json()["id"], other):
        assert client.delete(f"/training/checkpoints/{id}").status_code == 204


def test_a_style_that_cannot_be_applied_is_refused_by_the_name_of_its_file(client, tmp_path):
    archive = zipped_adapter(tmp_path)
    with zipfile.ZipFile(archive) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    contents["adapter_config.json"] = contents["adapter_config.json"].replace(b'"r": 2', b'"r": 30000')
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    before = client.get("/training/checkpoints").json()
    files = {"file": ("Fado <1>.zip", archive.read_bytes())}
    answer = client.post("/training/checkpoints/import", files=files, data={"name": "Elsewhere"})
    error = failure(answer, 422, "checkpoint_mismatch")
    assert "Fado <1>.zip" in error["message"]
    assert "rank 30000" in error["message"]
    assert client.get("/training/checkpoints").json() == before
