"""Lyrics may be transcribed from the voice alone: whether, by what, in which order, and what is said where they cannot.

What Demucs itself does is in `tests/codec/test_vocals.py`.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import read_blocks
from heartmula_studio.codec.transcriber import Transcriber
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.services.library.analyses import AnalysisSettings
from heartmula_studio.services.library.analyzers import find_separator
from heartmula_studio.services.library.transcription import LyricsAnalyzer
from tests.separation.band import SEPARATOR, band, with_band
from tests.still_studio import filled, settings_for, still_studio
from tests.whisper.spoken import MODEL, SPOKEN, SPOKEN_LINES


@pytest.fixture
def models(tmp_path) -> Path:
    """A folder of models, in which one looks like Demucs's; nothing here loads it."""
    folder = tmp_path / "ckpt" / "htdemucs"
    folder.mkdir(parents=True)
    (folder / "htdemucs.yaml").write_text("models: ['955717e8']")
    (folder / "955717e8.safetensors").write_bytes(b"")
    return tmp_path / "ckpt"


@pytest.fixture
def without_demucs(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "demucs", None)


@pytest.mark.usefixtures("without_demucs")
def test_without_demucs_the_whole_recording_is_heard_unless_somebody_asks(models):
    for settings in (AnalysisSettings(), AnalysisSettings(separate_vocals=False, separator="htdemucs")):
        assert find_separator(models, settings) is None
    for settings in (AnalysisSettings(separate_vocals=True), AnalysisSettings(separator="htdemucs")):
        with pytest.raises(InvalidInputError, match="Demucs is not installed") as caught:
            find_separator(models, settings)
        assert caught.value.hint == "Install it with: pip install 'heartmula-studio[vocals]'"


@pytest.mark.usefixtures("without_demucs")
def test_the_analysis_says_so_before_it_begins(tmp_path):
    studio = still_studio(settings_for(tmp_path / "data"))
    (tmp_path / "data" / "models").mkdir()
    (tmp_path / "data" / "models" / "spoken").symlink_to(MODEL, target_is_directory=True)
    dataset = filled(studio, 1, [SPOKEN])
    with pytest.raises(InvalidInputError, match="Demucs is not installed"):
        studio.datasets.start_analysis(dataset.id, "lyrics", separate_vocals=True)
    assert studio.datasets.get_analysis(dataset.id, "lyrics").status == "idle"


def test_with_demucs_the_voice_comes_first_where_a_model_is_there(models, tmp_path):
    pytest.importorskip("demucs", reason="Demucs is not installed: pip install 'heartmula-studio[vocals]'")
    assert find_separator(models, AnalysisSettings()) == models / "htdemucs"
    assert find_separator(models, AnalysisSettings(separate_vocals=False)) is None
    assert find_separator(tmp_path / "none", AnalysisSettings()) is None
    with pytest.raises(NotFoundError, match="No model here separates vocals"):
        find_separator(tmp_path / "none", AnalysisSettings(separate_vocals=True))
    with pytest.raises(NotFoundError, match="There is htdemucs"):
        find_separator(models, AnalysisSettings(separator="other"))


def test_what_is_sung_with_a_band_is_transcribed_by_the_voice_that_demucs_separates(tmp_path):
    pytest.importorskip("demucs", reason="Demucs is not installed: pip install 'heartmula-studio[vocals]'")
    models = tmp_path / "models"
    models.mkdir()
    for model in (MODEL, SEPARATOR):
        (models / model.name).symlink_to(model, target_is_directory=True)
    studio = still_studio(dataclasses.replace(settings_for(tmp_path / "data"), checkpoints_dir=models))
    dataset = filled(studio, 1, [with_band(tmp_path / "song.flac")])

    def transcribed(**voice) -> tuple[str, list[str]]:
        (found,) = studio.datasets.analyze(dataset.id, "lyrics", language="en", **voice)
        proposal = found.proposals[-1]
        return proposal.source, [line.partition("]")[2] for line in proposal.value.split("\n")]

    lines = [line for line, _, _ in SPOKEN_LINES]
    assert transcribed(separate_vocals=False)[1] != lines
    assert transcribed() == (f"transcription by {MODEL.name} of vocals by {SEPARATOR.name}", lines)


class LeftChannel:
    """Separates what is sung on the left from what is played on the right."""

    def read_blocks(self, path: Path, rate_hz: int, block_samples: int, cancelled) -> Iterator[torch.Tensor]:
        for block in read_blocks(path, rate_hz, block_samples):
            yield block[:1]


def test_what_is_separated_is_what_is_heard_and_progress_goes_through_both(tmp_path):
    voice, rate_hz = soundfile.read(SPOKEN, dtype="float32")
    path = tmp_path / "duet.flac"
    soundfile.write(path, np.stack([voice, 2 * band(len(voice), seed=0)], axis=1), rate_hz)
    studio = still_studio(settings_for(tmp_path / "data"))
    (track,) = filled(studio, 1, [path]).audio_files

    def heard(**separator) -> tuple[list[str], list[float]]:
        analyzer = LyricsAnalyzer("spoken", "en", lambda: Transcriber(MODEL, torch.device("cpu")), **separator)
        told: list[float] = []
        found = analyzer.find(path, track, lambda done, total: told.append(done / total), lambda: False)
        return [line.partition("]")[2] for one in found for line in one.value.split("\n")], told

    lines = [line for line, _, _ in SPOKEN_LINES]
    assert heard()[0] != lines
    found, told = heard(separator="left", load_separator=LeftChannel)
    assert found == lines
    assert told == sorted(told)
    assert told[0] <= 0.5
    assert 0.5 in told
    assert max(told) <= 1


def test_a_track_that_was_heard_whole_is_heard_again_by_its_voice(tmp_path):
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset = filled(studio, 1, [SPOKEN])
    whole = LyricsAnalyzer("spoken", "", lambda: None)
    by_voice = LyricsAnalyzer("spoken", "", lambda: None, "htdemucs", lambda: None)
    assert by_voice.source == "transcription by spoken of vocals by htdemucs"
    studio.store.datasets.propose(dataset.id, SPOKEN.name, whole.source, [])
    (track,) = studio.datasets.get(dataset.id).audio_files
    assert (whole.is_done(track), by_voice.is_done(track)) == (True, False)
