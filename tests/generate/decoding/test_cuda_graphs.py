"""Frames recorded and replayed on a GPU, against the same ones launched kernel by kernel."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.generate import offload
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import describe_adapter
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.decoding.frame_decoder import InferenceModel
from heartmula_studio.generate.decoding.generator import CodeGenerator, WeightsVersion
from heartmula_studio.generate.decoding.graphed_decoder import GraphedDecoder
from heartmula_studio.generate.decoding.sampling import AudioVocabulary
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: only there frames are recorded")

GOLDEN = Path(__file__).parents[2] / "golden"
IDS = AudioVocabulary(codebook_size=128, end_id=130)
REQUEST = SongRequest(tags="piano", lyrics="la la", duration_sec=4.0, seed=5)


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def model(request):
    return load_heartmula(GOLDEN / "heartmula", "cuda", request.param).requires_grad_(False)


@torch.inference_mode()
def frames(model, prompt, uses_cuda_graphs: bool, num_songs: int = 1, count: int = 40) -> torch.Tensor:
    """Codes [N, K, T] of songs that are not ended by their end frame."""
    requests = [replace(REQUEST, seed=seed) for seed in range(num_songs)]
    decoder = GraphedDecoder(InferenceModel(model), IDS, requests, len(prompt.tokens) + count)
    decoder.uses_cuda_graphs = uses_cuda_graphs
    decoder.prefill([prompt] * num_songs, requests, count)
    return torch.stack([decoder.next_frame() for _ in range(count)], dim=2)


@pytest.mark.parametrize("num_songs", [1, 3])
def test_replayed_frames_are_those_launched_one_by_one(model, prompt, num_songs):
    expected = frames(model, prompt, False, num_songs)
    assert torch.equal(frames(model, prompt, True, num_songs), expected)


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}])
def test_an_adapter_is_in_the_recording_at_its_strength(model, prompt, save_adapter, settings):
    adapter = Adapter(model, describe_adapter(save_adapter(**settings), BaseModel.of(model, "")))
    songs = []
    for strength in (1.0, 0.5):
        adapter.set_strength(strength)
        songs.append(frames(model, prompt, True))
        assert torch.equal(songs[-1], frames(model, prompt, False))
    assert not torch.equal(*songs)


def test_a_strength_changed_between_songs_needs_no_new_recording(model, prompt, save_adapter):
    adapter = Adapter(model, describe_adapter(save_adapter(), BaseModel.of(model, "")))
    generator = CodeGenerator(model, IDS)

    def song(strength: float) -> torch.Tensor:
        adapter.set_strength(strength)
        return generator.generate([prompt], [REQUEST], version=WeightsVersion(strengths=(strength,)))[0]

    first = song(1.0)
    decoder = generator._decoder
    graphs = dict(decoder._graphs)
    weaker = song(0.3)
    assert generator._decoder is decoder
    assert graphs == decoder._graphs
    assert torch.equal(song(1.0), first)
    assert not torch.equal(weaker[:, :12], first[:, :12])


def test_a_song_is_the_same_where_model_and_codec_take_turns(base_folder, save_adapter, tmp_path, monkeypatch):
    at_once = Engine.load(base_folder, "cuda")
    monkeypatch.setattr(offload, "ROOM_BYTES", 1 << 60)
    in_turn = Engine.load(base_folder, "cuda")
    assert (in_turn.codec.device.type, in_turn.device.type) == ("cpu", "cuda")
    folder = save_adapter()
    for engine in (at_once, in_turn):
        engine.activate(folder, 0.5)
    for name in ("first", "second"):
        songs = [
            engine.make_song(REQUEST, tmp_path / f"{name} {engine is in_turn}.wav") for engine in (at_once, in_turn)
        ]
        first, second = (soundfile.read(song.path, dtype="int16")[0] for song in songs)
        assert (first == second).all()
    assert in_turn.model.audio_head.is_cuda
    assert in_turn.codec.device.type == "cpu"


def test_logits_on_a_gpu_are_the_golden_ones(prompt, golden, forced_logits):
    model = load_heartmula(GOLDEN / "heartmula", "cuda")
    torch.testing.assert_close(forced_logits(model).cpu(), golden["logits.cfg1.5"], atol=2e-4, rtol=0)
