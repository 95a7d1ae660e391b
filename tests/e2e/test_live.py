"""The player of a song that is being made: what has come is played, paused and sought in. The test makes the song."""

from dataclasses import replace

import torch
from playwright.sync_api import expect

from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.files.file_lock import try_lock
from heartmula_studio.services.songs.live import live_sound
from heartmula_studio.services.songs.queue import OWNER
from heartmula_studio.store.records import Generation, utc_now
from heartmula_studio.store.store import Store
from tests.e2e.driving import open_page

RATE_HZ = 24_000


def test_a_song_is_played_while_it_is_made(page, studio):
    songs = Store(studio.data_dir, 10**9, 100).generations
    request = {"tags": "being made", "lyrics": "", "duration_sec": 9, "seed": 1}
    song = Generation(songs.new_id(), request, "wav", utc_now(), "running", 10.0, "Composes.")
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


def tone(seconds: float) -> torch.Tensor:
    return 0.2 * torch.sin(torch.arange(int(seconds * RATE_HZ)) / 20).expand(2, -1)
