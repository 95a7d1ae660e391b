"""Songs that the tests make: one is played, paused and sought in while it comes, and one of many is found again."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.files.file_lock import try_lock
from heartmula_studio.generate.receipt import codes_path
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.services.songs.live import live_sound
from heartmula_studio.services.songs.queue import OWNER
from heartmula_studio.store.generations import Generations
from heartmula_studio.store.records import Generation, utc_now
from heartmula_studio.store.store import Store
from tests.e2e.driving import misplaced_texts, open_page
from tests.recordings import SONGS
from tests.still_studio import wait_until
from tests.studio_server import Server

RATE_HZ = 24_000


def test_a_song_is_played_while_it_is_made(page, studio):
    songs = Store(studio.data_dir, 10**9, 100).generations
    request = {"tags": "being made", "lyrics": "", "duration_sec": 9, "seed": 1}
    song = Generation(songs.new_id(), request, "wav", utc_now(), "running", 10.0, "Composing.")
    held = []  # as by a server that makes it
    songs.create(song, lambda folder: held.append(try_lock(folder / OWNER)))
    with held[0], live_sound(songs.folder(song.id), RATE_HZ) as hear:
        hear(tone(2))
        open_page(page, studio)
        page.locator(".card", has_text="being made").get_by_role("button", name="Show").click()
        player = page.get_by_role("group", name="Song while it is made")
        button, position = player.get_by_role("button"), player.get_by_role("slider", name="Position")
        expect(player).to_contain_text("0.0 / 2.0 s so far")
        button.click()
        expect(button).to_have_text("Pause")
        expect(player).to_contain_text("2.0 / 2.0 s so far")
        hear(tone(3))
        expect(player).to_contain_text("5.0 / 5.0 s so far")
        button.click()
        position.fill("1")
        expect(player).to_contain_text("1.0 / 5.0 s so far")
        with AudioWriter(songs.song_path(song.id), RATE_HZ) as writer:
            writer.write(tone(5))
        songs.update(song.id, lambda song: replace(song, status="completed", progress=100.0, duration_sec=5.0))
    expect(player).to_contain_text("1.0 / 5.0 s")
    expect(player).not_to_contain_text("so far")
    expect(page.locator(".waveform-container:visible")).to_have_count(1)
    button.click()
    expect(button).to_have_text("Pause")
    expect(player).to_be_hidden()  # it has been heard to its end, and the finished song has a player of its own


@pytest.mark.long
def test_one_of_many_songs_is_found_named_starred_and_taken_out(page, studio):
    songs = Store(studio.data_dir, 10**9, 100).generations
    for number in range(15):
        add_song(songs, f"zither {number}", 20.0 + number)
    open_page(page, studio)
    cards = page.locator(".card:visible", has_text="zither")
    page.get_by_label("Search", exact=True).locator("visible=true").fill("ZITHER")
    expect(page.get_by_text("1 to 12 of 15 songs")).to_be_visible()
    expect(cards).to_have_count(12)
    page.get_by_role("button", name="More →").click()
    expect(cards).to_have_count(3)
    choose(page, "Order", "Longest first")
    expect(cards).to_have_count(12)
    expect(cards.first).to_contain_text("zither 14")
    cards.first.get_by_role("button", name="☆ Star").click()
    starred = page.get_by_label("Starred only")
    starred.check()
    expect(cards).to_have_count(1)
    cards.first.get_by_role("button", name="▶ Listen").click()
    title = page.get_by_role("textbox", name="Title")
    expect(title).to_have_value("zither 14")
    title.fill("Night zither")
    page.get_by_role("button", name="Rename").click()
    expect(cards.get_by_role("heading", name="Night zither")).to_be_visible()
    choose(page, "Format", "Opus", nth=1)
    with page.expect_download() as opus:
        page.get_by_role("button", name="Download", exact=True).last.click()  # the player has one, too
    assert opus.value.suggested_filename == "Night zither.opus"
    starred.uncheck()
    expect(cards).to_have_count(12)
    page.get_by_role("button", name="Compare two, download several").click()
    page.get_by_role("button", name="Select all found").click()
    expect(page.get_by_text("Songs selected: 15")).to_be_visible()
    tick = cards.nth(1).get_by_label("Select", exact=True)
    expect(tick).to_be_checked()
    tick.uncheck()
    expect(page.get_by_text("Songs selected: 14")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as ZIP").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert (len(names), names[0]) == (14, "Night zither.wav")
    assert "zither 13.wav" not in names
    compare_two(page, cards)


def compare_two(page: Page, cards: Locator) -> None:
    """One of two plays, and the other one goes on where that one is."""
    page.get_by_role("button", name="Select none").click()
    for number in (0, 3):
        tick = cards.nth(number).get_by_label("Select", exact=True)
        expect(tick).not_to_be_checked()
        tick.check()
        expect(page.get_by_text(f"Songs selected: {1 + number // 3}")).to_be_visible()
    page.get_by_role("button", name="Compare the two selected").click()
    pair = page.get_by_role("group", name="Two songs compared")
    first, second = pair.get_by_role("button", name="A: Night zither"), pair.get_by_role("button", name="B: zither 11")
    first.click()
    expect(first).to_have_text("⏸ A: Night zither")
    pair.get_by_role("button", name="Pause").click()
    pair.get_by_label("Position").fill("0.5")
    second.click()
    expect(second).to_have_text("⏸ B: zither 11")
    second.click()
    assert float(pair.get_by_label("Position").input_value()) >= 0.5


@pytest.mark.long
def test_lyrics_set_the_length_and_a_song_goes_on_from_a_recording(page, studio):
    filename = add_recording(studio, "Fiddles")
    open_page(page, studio)
    lyrics = page.get_by_label("Lyrics").locator("visible=true")
    lyrics.fill("[Verse]\nla la\nla la")
    expect(page.get_by_text("2 lines, 4 syllables: about 0:13 to sing")).to_be_visible()
    put_a_mark_before_what_is_selected(page, lyrics)
    page.get_by_role("button", name="Structure and length").click()
    page.get_by_role("button", name="Set the length from the lyrics").click()
    expect(page.get_by_label("number input for Length in seconds")).to_have_value("13")
    page.get_by_role("button", name="Insert", exact=True).click()
    expect(lyrics).to_have_value(re.compile(r"la la\n\n\[Verse\]\n\n\[Chorus\]"))
    page.get_by_role("button", name="Start from a recording of your own").click()
    choose(page, "Recording", f"Fiddles: {filename}")
    page.get_by_label("Continue from second").fill("1")
    page.get_by_role("button", name="Continue the recording").click()
    expect(page.locator(".card:visible", has_text="continues another song from 0:01")).to_be_visible()
    [song] = [one for one in httpx.get(f"{studio.url}/generate").json() if one["continues"] == filename]
    httpx.post(f"{studio.url}/generate/{song['id']}/cancel")
    assert (song["from_sec"], song["request"]["duration_sec"]) == (0.96, 13.96)


@pytest.mark.long
def test_a_song_is_made_again_by_a_receipt_from_elsewhere_and_then_one_like_it(page, studio, tmp_path):
    client = httpx.Client(base_url=studio.url, timeout=180)
    asked = client.post("/generate/music", json={"tags": "oboe", "duration_sec": 1, "seed": 3}).json()
    wait_until(lambda: client.get(f"/generate/{asked['id']}").json()["status"] == "completed")
    receipt = tmp_path / "from elsewhere.json"
    receipt.write_text(json.dumps(client.get(f"/generate/{asked['id']}").json()["receipt"]))
    open_page(page, studio)
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    page.get_by_role("button", name="Adventurous").click()
    expect(page.get_by_label("Temperature")).to_have_value("1.2")
    panel = page.get_by_role("button", name="Make a song again from its receipt")
    panel.click()
    again = page.get_by_role("button", name="Make it again", exact=True)
    again.click()
    expect(page.get_by_text("Choose a file first.")).to_be_visible()
    page.locator(".song-form input[type=file]").set_input_files(receipt)
    expect(page.get_by_text("from elsewhere").first).to_be_visible()
    again.click()
    expect(page.get_by_text("The same song, bit for bit.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Receipt: how it was made").click()
    expect(page.get_by_text("sound_sha256")).to_be_visible()
    assert misplaced_texts(page) == []
    page.get_by_role("button", name="More like this").click()
    cards = page.locator(".card:visible", has_text="oboe")
    expect(cards).to_have_count(3)
    seeds = [song["request"]["seed"] for song in client.get("/generate", params={"search": "oboe"}).json()]
    assert seeds[:2] == [3, 3]
    assert seeds[2] != 3


@pytest.mark.long
def test_a_part_of_a_song_of_the_history_is_remade(page, studio):
    client = httpx.Client(base_url=studio.url, timeout=180)
    asked = client.post("/generate/music", json={"tags": "viola", "duration_sec": 3, "seed": 3}).json()
    wait_until(lambda: client.get(f"/generate/{asked['id']}").json()["status"] == "completed")
    open_page(page, studio)
    card = page.locator(".card:visible", has_text="viola")
    card.get_by_role("button", name="▶ Listen").click()
    page.get_by_role("button", name="Remake a part").click()
    remake = page.get_by_role("button", name="Remake this part")
    remake.click()
    expect(page.get_by_text("Enter the second where it ends.")).to_be_visible()
    page.get_by_label("Part from second").fill("0,8")
    page.get_by_label("Part to second").fill("2")
    remake.click()
    expect(page.locator(".card:visible", has_text="remakes 0:01 to 0:02 of another song")).to_be_visible()
    [song] = [one for one in client.get("/generate").json() if one["continues"] == asked["id"]]
    wait_until(lambda: client.get(f"/generate/{song['id']}").json()["status"] == "completed")
    songs = Store(studio.data_dir, 10**9, 100).generations
    before, after = (SongCodes.load(codes_path(songs.song_path(id))).codes for id in (asked["id"], song["id"]))
    differs = (before != after).any(dim=0)
    assert differs[10:25].any()
    assert not differs[:10].any()
    assert not differs[25:].any()
    again = card.filter(has_text="remakes").get_by_role("button", name="↻ Make again")
    again.click()
    expect(page.get_by_text("The same song, bit for bit.", exact=True)).to_be_visible()


def put_a_mark_before_what_is_selected(page: Page, lyrics: Locator) -> None:
    """The selection stays, and the browser undoes it."""
    lyrics.evaluate("field => field.setSelectionRange(8, 13)")
    page.get_by_role("button", name="[Bridge]").click()
    expect(lyrics).to_have_value("[Verse]\n\n[Bridge]\nla la\nla la")
    assert page.evaluate("getSelection().toString()") == "la la"
    page.keyboard.press("Control+z")
    expect(lyrics).to_have_value("[Verse]\nla la\nla la")
    lyrics.press("Control+End")


def add_recording(studio: Server, name: str) -> str:
    """Make a dataset of a recording that is tokenized, and return the recording's name."""
    client = httpx.Client(base_url=studio.url, timeout=180)
    id = client.post("/training/datasets", json={"name": name}).raise_for_status().json()["id"]
    files = {"file": (SONGS[0].name, SONGS[0].read_bytes())}
    filename = client.post(f"/training/datasets/{id}/audio", files=files).raise_for_status().json()["filename"]
    datasets = Store(studio.data_dir, 10**9, 100).datasets
    codes, codec_id = torch.zeros(8, 30, dtype=torch.int16), stored_codebook_id(find_base("nano").codec)
    Tokens(codes, 12.5, codec_id, "", 2.4).save(datasets.tokens_path(id, filename))
    datasets.set_tokens(id, filename, 30)
    return filename


def choose(page: Page, label: str, option: str, nth: int = 0) -> None:
    page.get_by_label(label, exact=True).locator("visible=true").nth(nth).click()
    page.get_by_role("option", name=option, exact=True).click()


def add_song(songs: Generations, tags: str, seconds: float) -> None:
    request = {"tags": tags, "lyrics": "", "duration_sec": seconds, "seed": 1}
    song = Generation(songs.new_id(), request, "wav", utc_now(), "completed", 100.0, duration_sec=seconds)

    def fill(folder: Path) -> None:
        with AudioWriter(folder / "song.wav", RATE_HZ) as writer:
            writer.write(tone(seconds))

    songs.create(song, fill)


def tone(seconds: float) -> torch.Tensor:
    return 0.2 * torch.sin(torch.arange(int(seconds * RATE_HZ)) / 20).expand(2, -1)
