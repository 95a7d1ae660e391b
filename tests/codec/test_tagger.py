"""CLAP's likeness of sound and words, by a network of its own format with random weights, made here."""

from pathlib import Path

import pytest
import torch
from transformers import (
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    ClapTextConfig,
    RobertaTokenizer,
)

from heartmula_studio.codec.tagger import Tagger
from heartmula_studio.errors import AudioError, CancelledError, CheckpointCorruptError
from heartmula_studio.services.library.listening_models import FINDS_TAGS, find_listening_model
from heartmula_studio.services.library.tagging import TagAnalyzer
from heartmula_studio.store.records import AudioFile, utc_now
from tests.recordings import SONGS

TAGS = ("piano", "techno", "instrumental", "male vocal", "sad")
RATE_HZ = 8000


def make_clap(folder: Path) -> Path:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    torch.manual_seed(0)
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    letters = {letter: 5 + number for number, letter in enumerate(bytes_to_unicode().values())}
    text = ClapTextConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=80, projection_dim=8, pad_token_id=1,
    )  # fmt: skip
    audio = ClapAudioConfig(
        num_mel_bins=16, spec_size=64, hidden_size=32, patch_size=4, patch_stride=[4, 4], num_classes=2,
        patch_embeds_hidden_size=16, depths=[1, 1], num_attention_heads=[2, 2], num_hidden_layers=2, projection_dim=8,
        window_size=4, enable_fusion=False,
    )  # fmt: skip
    ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=8)).save_pretrained(
        folder
    )
    features = ClapFeatureExtractor(
        feature_size=16, sampling_rate=RATE_HZ, hop_length=80, max_length_s=1, fft_window_size=256,
        frequency_max=4000, truncation="rand_trunc",
    )  # fmt: skip
    ClapProcessor(features, RobertaTokenizer(vocab={**special, **letters}, merges=[])).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clap(tmp_path_factory) -> Path:
    return make_clap(tmp_path_factory.mktemp("official") / "larger_clap_music")


@pytest.fixture(scope="module")
def tagger(clap) -> Tagger:
    return Tagger(clap, torch.device("cpu"))


def test_sound_and_words_lie_in_one_space_and_the_likeliest_is_the_nearest(tagger):
    sound, texts = tagger.audio_embedding(SONGS[0]), tagger.text_embeddings(TAGS)
    assert (sound.shape, texts.shape) == ((8,), (len(TAGS), 8))
    assert torch.allclose(torch.linalg.vector_norm(texts, dim=-1), torch.ones(len(TAGS)), atol=1e-5)
    chances = tagger.probabilities(sound, texts)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert chances.argmax() == (texts @ sound).argmax()
    assert torch.equal(sound, tagger.audio_embedding(SONGS[0]))
    assert not torch.allclose(sound, tagger.audio_embedding(SONGS[1]))


def test_an_analyzer_finds_it_by_its_kind_and_proposes_tags_of_the_list(clap, tagger):
    assert find_listening_model(clap.parent, FINDS_TAGS) == clap
    analyzer = TagAnalyzer(clap.name, TAGS, lambda: tagger)
    track = AudioFile("a.ogg", "", (), "own", 3.0, 48_000, 2, 1000, "0" * 64, utc_now())
    assert not analyzer.is_done(track)
    found = analyzer.find(SONGS[0], track, lambda done, total: None, lambda: False)
    assert {finding.value for finding in found if finding.kind == "tag"} <= {"piano", "techno", "sad"}
    assert any(finding.kind == "tag" for finding in found)


def test_what_cannot_be_listened_to(tagger, tmp_path):
    with pytest.raises(AudioError):
        tagger.audio_embedding(tmp_path / "nothing.wav")
    with pytest.raises(CancelledError):
        tagger.audio_embedding(SONGS[0], lambda: True)
    (tmp_path / "config.json").write_text('{"model_type": "clap"}')
    with pytest.raises(CheckpointCorruptError, match="cannot be loaded as CLAP"):
        Tagger(tmp_path, torch.device("cpu"))
