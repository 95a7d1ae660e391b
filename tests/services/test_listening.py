"""What is proposed of tags and voices that were found, and which model listens."""

import json
from pathlib import Path

import pytest

from heartmula_studio.errors import NotFoundError
from heartmula_studio.services.library.listening_models import TRANSCRIBES, find_listening_model
from heartmula_studio.services.library.tagging import tag_findings

VOICES = {"male vocal": 0.9, "female vocal": 0.1}


def found(tags: dict[str, float], sung: float, voices: dict[str, float] = VOICES) -> list[tuple[str, float]]:
    return [(finding.value, finding.confidence) for finding in tag_findings(tags, sung, voices)]


def test_the_likeliest_tags_are_proposed_and_those_that_are_not_likely_are_not():
    tags = {"piano": 0.3, "techno": 0.02, "sad": 0.5, "slow": 0.08}
    assert found(tags, 0.5) == [("sad", 0.5), ("piano", 0.3), ("slow", 0.08)]
    assert len(found({str(number): 0.1 for number in range(9)}, 0.5)) == 5


@pytest.mark.parametrize(
    ("sung", "voices", "expected"),
    [
        (0.1, VOICES, [("instrumental", 0.9)]),
        (0.8, VOICES, [("male vocal", 0.72)]),
        (0.8, {"male vocal": 0.5, "female vocal": 0.5}, []),
        (0.5, VOICES, []),
    ],
)
def test_music_is_instrumental_or_sung_where_that_is_clear(sung, voices, expected):
    assert found({}, sung, voices) == expected


def whisper(folder: Path, model_type: str = "whisper") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def test_the_preferred_model_is_taken_else_the_one_that_is_there_or_named(tmp_path):
    with pytest.raises(NotFoundError, match="No model here transcribes lyrics"):
        find_listening_model(tmp_path / "ckpt", TRANSCRIBES)
    other = whisper(tmp_path / "ckpt" / "a-whisper")
    whisper(tmp_path / "ckpt" / "clap", "clap")
    assert find_listening_model(tmp_path / "ckpt", TRANSCRIBES) == other
    preferred = whisper(tmp_path / "ckpt" / "HeartTranscriptor-oss")
    assert find_listening_model(tmp_path / "ckpt", TRANSCRIBES) == preferred
    assert find_listening_model(tmp_path / "ckpt", TRANSCRIBES, "a-whisper") == other


def test_only_the_owner_of_the_machine_names_folders_elsewhere(tmp_path):
    whisper(tmp_path / "ckpt" / "a-whisper")
    elsewhere = whisper(tmp_path / "mine")
    for name in (str(elsewhere), "../mine", "clap"):
        with pytest.raises(NotFoundError, match="There is a-whisper"):
            find_listening_model(tmp_path / "ckpt", TRANSCRIBES, name)
    assert find_listening_model(tmp_path / "ckpt", TRANSCRIBES, str(elsewhere), is_local=True) == elsewhere
