"""The commands as a person types them, on the bundled model and clips."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import soundfile

from heartmula_studio.cli import auditions, datasets, main, rungs
from heartmula_studio.cli.arguments import parse_arguments
from heartmula_studio.cli.commands import train_config
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.flat_settings import FREE
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.receipt import codes_path
from heartmula_studio.generate.request import SONG as SONG_SETTINGS
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.settings import Settings
from tests.recordings import SONGS

pytestmark = pytest.mark.usefixtures("short_windows")
SONG = SONGS[2]
ONE_VERSION = ("--track-versions", 1)  # of each song; every other is encoded, too


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_help_names_every_command():
    command = [sys.executable, "-m", "heartmula_studio", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in (
        "demo",
        "train",
        "generate",
        "replay",
        "roundtrip",
        "tokenize",
        "detokenize",
        "dataset",
        "rungs",
        "auditions",
        "check",
    ):
        assert f"    {name}" in shown


@pytest.mark.parametrize(
    ("command", "actions"), [("dataset", datasets.ACTIONS), ("rungs", rungs.ACTIONS), ("auditions", auditions.ACTIONS)]
)
def test_a_command_offers_the_actions_that_it_has(command, actions, capsys):
    with pytest.raises(SystemExit):
        run(command, "--help")
    assert re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE) == [*actions]


def test_wrong_option_exits_with_2():
    with pytest.raises(SystemExit) as caught:
        run("generate", "song.wav")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("roundtrip", "missing.mp3"), 3, "missing.mp3"),
        (("roundtrip", __file__), 3, "test_commands.py"),
        (("generate", "song.xyz", "--tags", "piano"), 2, "song.xyz"),
        (("generate", "song.wav", "--tags", "piano", "--seconds", "9999"), 2, "duration_sec"),
        (("generate", "song.wav", "--tags", "piano", "--base", "nowhere"), 4, "nowhere"),
        (("generate", "song.wav", "--tags", "piano", "--style", "nowhere"), 4, "nowhere"),
        (("train", "nowhere", "--out", "run"), 2, "nowhere"),
        (("detokenize", "missing.pt", "song.wav"), 2, "missing.pt"),
        (("replay", "missing.wav", "song.wav"), 2, "missing.wav"),
        (("replay", SONG, "song.wav"), 2, "no receipt"),
    ],
)
def test_mistakes_are_explained_and_have_their_exit_code(arguments, exit_code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == exit_code
    assert said in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".wav", ".xyz")]


def test_roundtrip_writes_what_the_model_hears(tmp_path, capsys):
    out = tmp_path / "heard.flac"
    assert run("roundtrip", SONG, "--out", out) == 0
    assert 0.1 < float(re.search(r"original ([0-9.]+)", capsys.readouterr().out)[1]) < 1.5
    assert soundfile.info(out).duration == pytest.approx(soundfile.info(SONG).duration, abs=0.09)


def test_tokens_there_and_back(tmp_path):
    assert run("tokenize", SONG, "--out", tmp_path) == 0
    tokens = tmp_path / f"{SONG.stem}.pt"
    assert run("detokenize", tokens, tmp_path / "song.mp3") == 0
    assert soundfile.info(tmp_path / "song.mp3").duration == pytest.approx(soundfile.info(SONG).duration, abs=0.2)


def test_generate_gives_the_same_song_for_the_same_seed_and_replay_says_so(tmp_path, capsys):
    options = ("--tags", "piano, slow", "--seconds", 2, "--seed", 5)
    assert run("generate", tmp_path / "one.wav", *options, "--takes", 2, "--until-end") == 0
    assert run("replay", tmp_path / "one-2.wav", tmp_path / "two.wav") == 0
    assert "The same song, bit for bit." in capsys.readouterr().out
    assert run("detokenize", tmp_path / "one-2.wav.codes.safetensors", tmp_path / "three.wav") == 0
    one, two, three = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("one-2", "two", "three"))
    assert (one == two).all()
    assert (one == three).all()
    receipt = json.loads((tmp_path / "one-2.wav.json").read_text())
    assert (receipt["request"]["seed"], receipt["tried"], receipt["ended"]) == (6, [5, 6], False)
    assert "heartmula_receipt" in read_tags(tmp_path / "one-2.wav")


def test_a_stretch_of_a_song_is_made_anew(tmp_path, capsys):
    song, anew = tmp_path / "song.wav", tmp_path / "anew.flac"
    options = ("--tags", "piano, slow", "--seed")
    assert run("generate", song, *options, 5, "--seconds", 2) == 0
    assert run("generate", anew, *options, 6, "--continue", song, "--from", 0.4, "--to", 1.2) == 0
    codes = [SongCodes.load(codes_path(path)).codes for path in (song, anew)]
    differs = (codes[0] != codes[1]).any(dim=0)
    assert differs[5:15].any()
    assert not differs[:5].any()
    assert not differs[15:].any()
    assert run("replay", anew, tmp_path / "again.flac") == 0
    assert "The same song, bit for bit." in capsys.readouterr().out
    assert run("generate", anew, *options, 6, "--to", 1.2) == 2
    assert "--continue" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short training."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = ("--tags", "techno", "--preset", "thorough", "--max-steps", 2, "--rank", 4, "--window", 2)
    assert run("train", SONGS[0].parent, "--out", folder, *options, *ONE_VERSION) == 0
    return folder


def test_train_then_generate_in_the_style(trained, tmp_path):
    checkpoint = trained / "checkpoints" / "last"
    assert (checkpoint / "adapter_model.safetensors").is_file()
    config = TrainConfig.load(trained / "config.json")
    assert config.learning_rate_factor == 18  # nano's
    assert (config.lora.rank, config.lora.alpha, config.max_steps) == (4, 8, 2), "options count more than the preset"
    assert config.epochs > TrainConfig.epochs, "the preset's"
    other = shutil.copytree(checkpoint, tmp_path / "other")
    song, options = tmp_path / "song.wav", ("--tags", "techno", "--seconds", 2, "--seed", 1)
    strengths = ("--strength", 0.5, "--strength", 1, "--mlp-strength", 0)
    assert run("generate", song, *options, "--style", checkpoint, "--style", other, *strengths) == 0
    styles = json.loads(song.with_name("song.wav.json").read_text())["styles"]
    assert [(style["strength"], style["mlp_strength"]) for style in styles] == [(0.5, 0), (1, 0)]
    assert min(style["layers_changed"] for style in styles) > 0
    assert run("generate", song, *options, "--style", checkpoint, *strengths) == 2


def test_a_style_is_trained_further_in_a_run_of_its_own(trained, tmp_path):
    parent = trained / "checkpoints" / "last"
    command = ("train", SONGS[0].parent, "--out", tmp_path / "run", "--window", 2, "--max-steps", 1, *ONE_VERSION)
    assert run(*command, "--start-from", parent, "--rank", 8) == 2
    assert run(*command, "--start-from", parent) == 0
    meta = json.loads((tmp_path / "run" / "checkpoints" / "last" / "meta.json").read_text())
    assert meta["parent"]["id"] == json.loads((parent / "meta.json").read_text())["id"]
    assert (meta["config"]["lora"]["rank"], meta["config"]["start_from"]) == (4, str(parent))


def test_train_goes_on_with_the_lora_that_is_stored(tmp_path):
    """Naming a rank brought back the defaults of all other settings of the LoRA, and with them another run."""
    stored = RunFolder(tmp_path)
    lora = LoraSettings(rank=4, alpha=4.0, dropout=0.2, target_modules=("q_proj",), use_dora=True)
    TrainConfig(lora=lora).save(stored.config)
    runtime = Runtime.of(Settings.load({}), "nano", "cpu")

    def config(*options: str) -> TrainConfig:
        return train_config(parse_arguments(["train", "songs", "--out", "run", *options]), runtime, stored)

    assert config("--rank", "4").lora == lora
    assert config("--rank", "8", "--epochs", "9").lora == replace(lora, rank=8, alpha=16.0)


def test_every_setting_of_a_training_is_an_option():
    options = ["--depth-share", "0.5", "--lora-target-modules", "q_proj", "w1", "--save-memory", "--no-lora-use-dora"]
    arguments = vars(parse_arguments(["train", "songs", "--out", "run", *options]))
    given = {name: arguments[name] for name in FREE if arguments[name] is not None}
    assert given == {
        "depth_frame_fraction": 0.5,
        "lora_target_modules": ["q_proj", "w1"],
        "gradient_checkpointing": True,
        "lora_use_dora": False,
    }


def test_what_is_left_out_of_a_song_is_as_everywhere():
    arguments = vars(parse_arguments(["generate", "song.wav", "--tags", "piano", "--seed", "7"]))
    assert SongRequest.of({name: arguments[name] for name in SONG_SETTINGS}) == SongRequest("piano", seed=7)


def test_datasets_are_taken_in_listed_and_taken_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEARTMULA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HEARTMULA_BASE_MODEL", "nano")
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.ogg").write_bytes(SONG.read_bytes())
    (tmp_path / "songs" / "cover.jpg").write_bytes(b"x")
    assert run("dataset", "import", tmp_path / "songs", "--styles", "pop, slow") == 0
    printed = capsys.readouterr().out
    assert "Left out: cover.jpg" in printed
    id = re.search(r"^(\w+): 1 song, 1 left out$", printed, re.MULTILINE)[1]
    assert run("dataset", "edit", id, "--add-tags", "live, la", "--trigger-word", "zyx", "--rights", "own") == 0
    assert "a.ogg: zyx, pop, slow, live, la (own)" in capsys.readouterr().out
    assert run("dataset", "edit", id, "--track", "b.ogg", "--tags", "") == 2
    for format, out in (("folder", "out"), ("zip", "out.zip"), ("parquet", "out.parquet"), ("webdataset", "out.tar")):
        assert run("dataset", "export", id, "--out", tmp_path / out, "--format", format) == 0
        assert run("dataset", "import", tmp_path / out) == 0
    assert run("dataset", "export", id, "--out", tmp_path / "songs") == 7
    assert run("dataset", "import", tmp_path / "nowhere") == 2
    capsys.readouterr()
    assert run("dataset", "list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
