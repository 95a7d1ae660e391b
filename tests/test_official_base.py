"""A base in the layout of the newest official files through everything: tokenize, train, activate, generate.

The weights are nano's, so it can do all of it in seconds, and its tokens are known.
"""

import json

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.cli import main
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from tests.official_files import nano_parts, newest_heartlib
from tests.studio_server import SONGS

MODEL = "HeartMuLa-oss-3B-happy-new-year"


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("official") / "ckpt"
    newest_heartlib(nano_parts(), root)
    return str(root)


def test_from_a_shell(ckpt, tmp_path):
    def run(*arguments: object) -> None:
        assert main([*map(str, arguments), "--base", ckpt]) == 0

    assert main(["check", ckpt]) == 0
    run("tokenize", SONGS[0], "--out", tmp_path)
    tokens = Tokens.load(tmp_path / f"{SONGS[0].stem}.pt")
    expected = Codec.load(find_base("nano")).encode_file(SONGS[0])
    assert tokens.codec_id == expected.codec_id
    assert torch.equal(tokens.codes, expected.codes)

    run("train", SONGS[0].parent, "--out", tmp_path / "run", "--tags", "techno", "--max-steps", 1, "--window", 4)
    style, song = tmp_path / "run" / "checkpoints" / "last", tmp_path / "song.wav"
    run("generate", song, "--tags", "techno", "--seconds", 1, "--seed", 1, "--style", style)
    receipt = json.loads((tmp_path / "song.wav.json").read_text())
    assert receipt["base"] == MODEL
    assert receipt["style"]["layers_changed"] > 0
