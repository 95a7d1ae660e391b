from heartmula_studio.store.records import Generation
from heartmula_studio.ui.song_view import song_lines, song_title

NOW = "2026-01-01T00:00:00+00:00"


def test_a_song_whose_request_was_cut_down_is_shown_all_the_same():
    song = Generation("a", {}, "wav", NOW)
    assert song_title(song) == "Without tags"
    assert song_lines(song, None)[0].endswith("seed ? · Base model")
