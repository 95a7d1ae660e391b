"""Songs that keep codes of another one: its beginning, or all but a stretch."""

from dataclasses import replace

import pytest
import torch

from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError
from heartmula_studio.generate.kept_codes import KeptCodes
from heartmula_studio.generate.receipt import codes_path
from heartmula_studio.generate.replay import compare
from heartmula_studio.generate.request import SongRequest, takes_of
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.takes import SongOutput

REQUEST = SongRequest(tags="Piano,Happy", lyrics="[Verse]\nla la", duration_sec=1.0, seed=5)


def test_a_song_goes_on_from_another_one_whose_codes_stay(engine, tmp_path):
    song = engine.make_song(REQUEST, tmp_path / "song.wav")
    prefix = SongCodes.load(codes_path(song.path)).until(9)
    requests = takes_of(replace(REQUEST, tags="techno", lyrics="", duration_sec=2.0, seed=8), 2)
    outputs = [SongOutput(tmp_path / "first.wav"), SongOutput(tmp_path / "second.wav")]
    first, second = engine.make_takes(requests, outputs, kept=KeptCodes(prefix))
    codes = [SongCodes.load(codes_path(take.path)).codes for take in (first, second)]
    assert all(torch.equal(one[:, :9], prefix.codes) for one in codes)
    assert not torch.equal(*codes)
    assert (first.receipt.frames, first.receipt.prefix_frames, first.receipt.prefix_sha256) == (25, 9, prefix.sha256)
    again = [SongOutput(tmp_path / "again.wav"), None]
    made, _ = engine.make_takes(requests, again, kept=KeptCodes(prefix))
    assert compare(first.receipt, made.receipt).is_same
    whole = KeptCodes(replace(prefix, codes=codes[0][:, :13]))
    with pytest.raises(InvalidInputError, match=r"last 0\.96 s, and goes on after 1\.04 s"):
        engine.make_takes([REQUEST], [SongOutput(tmp_path / "short.wav")], kept=whole)
    with pytest.raises(CheckpointMismatchError, match="heartcodec-other"):
        engine.make_takes(requests, outputs, kept=KeptCodes(replace(prefix, codec_id="heartcodec-other")))


@pytest.mark.parametrize("start", [0, 9])
def test_of_a_song_a_stretch_is_made_anew_and_all_around_it_stays(engine, tmp_path, start):
    song = engine.make_song(replace(REQUEST, duration_sec=3.2), tmp_path / "song.wav")
    codes = SongCodes.load(codes_path(song.path))
    kept = KeptCodes.ends_of(codes, start, 40 - 20)
    requests = takes_of(replace(REQUEST, duration_sec=3.2, seed=8), 2)
    outputs = [SongOutput(tmp_path / "first.wav"), SongOutput(tmp_path / "second.wav")]
    first, second = engine.make_takes(requests, outputs, kept=kept)
    made = [SongCodes.load(codes_path(take.path)).codes for take in (first, second)]
    for one in made:
        assert torch.equal(one[:, :start], codes.codes[:, :start])
        assert torch.equal(one[:, 20:], codes.codes[:, 20:])
        assert not torch.equal(one[:, start:20], codes.codes[:, start:20])
    assert not torch.equal(*made)
    assert (first.receipt.frames, first.receipt.prefix_frames, first.receipt.suffix_frames) == (40, start, 20)
    assert kept.are_of(first.receipt)
    assert first.receipt.ended is None
    again, _ = engine.make_takes(requests, [SongOutput(tmp_path / "again.wav"), None], kept=kept)
    assert compare(first.receipt, again.receipt).is_same
    other = KeptCodes(kept.prefix, replace(codes, codes=codes.codes[:, :20].contiguous()))
    differing, _ = engine.make_takes(requests, [SongOutput(tmp_path / "other.wav"), None], kept=other)
    assert "The ending is" in compare(first.receipt, differing.receipt).sentence
