"""What is held out is no version of what is learnt from."""

import pytest
import torch

from heartmula_studio.dataset.held_out import SAME_RECORDING, agreement, base_title, split_tracks
from heartmula_studio.dataset.windows import split_songs
from tests.finetune.training_jobs import song_row


def songs(count: int) -> dict[str, torch.Tensor]:
    return {f"song {number}": song_row(number, 200)["codes"] for number in range(count)}


def cut_and_noisy(codes: torch.Tensor, share: float = 0.4) -> torch.Tensor:
    """The same recording without its first 20 frames, of which another encoder made other codes here and there."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(codes[:, 20:].shape, generator=generator) < share
    return torch.where(wrong, torch.randint(0, 60, wrong.shape, generator=generator), codes[:, 20:])


@pytest.mark.parametrize("count", [5, 6, 20, 31])
def test_songs_without_versions_are_split_by_their_names(count):
    codes = songs(count)
    assert split_tracks(codes) == split_songs(list(codes))


def test_a_song_with_another_version_is_learnt_from():
    codes = songs(8)
    (held_out,) = split_songs(list(codes))[1]
    codes["another cut"] = cut_and_noisy(codes[held_out])
    assert agreement(codes[held_out], codes["another cut"], 20) > SAME_RECORDING
    learnt, held_out_now = split_tracks(codes)
    assert {held_out, "another cut"} <= set(learnt)
    assert len(held_out_now) == 1


def test_a_quieter_copy_is_another_version():
    """Where each codebook tells of a register, another level changes the codes of the high ones first."""
    codes = songs(8)
    (held_out,) = split_songs(list(codes))[1]
    copy, others = codes[held_out].clone(), song_row(99, 200)["codes"]
    copy[:3], copy[3:, ::3] = others[:3], others[3:, ::3]
    codes["a quieter copy"] = copy
    assert {held_out, "a quieter copy"} <= set(split_tracks(codes)[0])


def test_where_all_have_versions_one_song_is_held_out_with_all_of_them():
    codes = songs(4)
    codes |= {f"{name} (live)": codes_of.flip(1) for name, codes_of in codes.items()}
    learnt, held_out = split_tracks(codes)
    assert len(held_out) == 2
    assert {base_title(name) for name in held_out}.isdisjoint(base_title(name) for name in learnt)


def test_nothing_is_held_out_of_versions_of_one_song():
    kinds = ("live", "live 2", "remix", "demo", "acoustic", "edit")
    assert split_tracks({f"Rain ({kind})": song_row(0, 10)["codes"] for kind in kinds})[1] == []


def test_only_what_sounds_together_is_compared():
    a, b = (song_row(number, 300)["codes"] for number in range(2))
    assert agreement(a, b, 0) < 0.1
    assert agreement(a, a[:, 40:], 40) == agreement(a[:, 40:], a, -40) == 1.0


def test_songs_that_overlap_for_less_than_ten_seconds_are_not_the_same():
    codes = songs(8)
    (held_out,) = split_songs(list(codes))[1]
    codes["its beginning"] = codes[held_out][:, :124]
    assert held_out in split_tracks(codes)[1]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Rain (Live at Home)", "rain"),
        ("rain - Remix", "rain"),
        ("Rain [2011 Remastered]", "rain"),
        ("Rain (in May)", "rain in may"),
        ("Rain 2", "rain 2"),
        ("Live", "Live"),
    ],
)
def test_titles_of_versions_are_the_same(name, title):
    assert base_title(name) == title


def test_few_of_many_songs_are_compared(monkeypatch):
    """Comparing each of thousands with every other would take hours."""
    compared = []
    monkeypatch.setattr("heartmula_studio.dataset.held_out.agreement", lambda *pair: compared.append(pair) or 0.0)
    learnt, held_out = split_tracks(songs(200))
    assert (len(learnt), len(held_out)) == (180, 20)
    assert len(compared) < 0.05 * 20 * 199
