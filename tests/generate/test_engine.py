import gc
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import (
    CancelledError,
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
    OutOfMemoryError,
)
from heartmula_studio.files.hashing import file_sha256, fingerprint
from heartmula_studio.generate.adapter_files import WEIGHTS_FILE
from heartmula_studio.generate.decoding.cached_transformer import CachedTransformer
from heartmula_studio.generate.engine import RECEIPT_TAG, Engine, pick_device
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import SongRequest

REQUEST = SongRequest(tags="Piano,Happy", lyrics="[Verse]\nla la", duration_sec=1.0, seed=5)


@pytest.fixture
def engine(base_folder) -> Engine:
    return Engine.load(base_folder, device="cpu")


@pytest.fixture
def logits(engine, forced_logits):
    return lambda: forced_logits(engine.model)


def test_a_base_is_float32_on_the_cpu_with_no_style(engine):
    assert {parameter.dtype for parameter in engine.model.parameters()} == {torch.float32}
    assert engine.active is None


@pytest.mark.parametrize("name", ["quantum", "meta", "cpu:0", "cuda:", "CUDA", "", "cuda:99"])
def test_an_unknown_device_is_refused(base_folder, name):
    with pytest.raises(InvalidInputError, match=f"'{name}'"):
        Engine.load(base_folder, device=name)


def test_auto_is_a_device_that_is_there():
    assert pick_device("auto").type in ("cpu", "cuda")
    assert pick_device("cpu") == torch.device("cpu")


def test_a_missing_codec_is_noticed_before_a_song_is_made(base_folder, tmp_path):
    folder = shutil.copytree(base_folder, tmp_path / "base")
    (folder / "HeartCodec-golden" / "model.safetensors").unlink()
    with pytest.raises(CheckpointMissingError, match="HeartCodec"):
        Engine.load(folder, device="cpu")


@pytest.fixture
def fragile_engine(base_folder, tmp_path) -> Engine:
    """An engine whose base folder a test may damage."""
    return Engine.load(shutil.copytree(base_folder, tmp_path / "base"), device="cpu")


@pytest.mark.parametrize("how", ["gone", "empty", "another"])
def test_a_base_that_cannot_be_read_again_is_owed_until_it_can(fragile_engine, forced_logits, save_full, how):
    base = forced_logits(fragile_engine.model)
    full = save_full()
    fragile_engine.activate(full)
    weights = fragile_engine.base.model / "model.safetensors"
    kept = weights.rename(weights.with_name("kept"))
    if how == "empty":
        weights.touch()
    elif how == "another":
        shutil.copy(full / "model.safetensors", weights)
    with pytest.raises(CheckpointError, match=r"HeartMuLa-golden"):
        fragile_engine.deactivate()
    assert fragile_engine.active is None
    with pytest.raises(CheckpointError, match=r"HeartMuLa-golden"):
        fragile_engine.generate(REQUEST)
    kept.rename(weights)
    fragile_engine.generate(REQUEST)
    assert torch.equal(forced_logits(fragile_engine.model), base)


def test_a_failed_change_of_style_goes_back_only_to_what_is_still_there(
    fragile_engine, forced_logits, save_full, save_adapter
):
    """The base cannot be read for the new style, nor the full checkpoint before it, until both are back."""
    base = forced_logits(fragile_engine.model)
    full, adapter = save_full(), save_adapter()
    fragile_engine.activate(full)
    weights = fragile_engine.base.model / "model.safetensors"
    kept = weights.rename(weights.with_name("kept"))
    shutil.rmtree(full)
    with pytest.raises(CheckpointError, match="No style is active"):
        fragile_engine.activate(adapter)
    assert fragile_engine.active is None
    kept.rename(weights)
    fragile_engine.activate(adapter)
    assert fragile_engine.active.style.id == "style"
    fragile_engine.deactivate()
    assert torch.equal(forced_logits(fragile_engine.model), base)


def test_a_style_that_fails_late_leaves_none_where_the_previous_one_is_gone(engine, logits, save_adapter):
    base = logits()
    good, bad = save_adapter("good"), save_adapter("bad", seed=1)
    engine.activate(good)
    shutil.rmtree(good)
    damage(bad, "not numbers")
    with pytest.raises(CheckpointError, match=r"not numbers.*good.*No style is active"):
        engine.activate(bad)
    assert engine.active is None
    assert torch.equal(logits(), base)


def test_songs_of_one_name_keep_their_own_receipts(engine, tmp_path):
    (tmp_path / "song.json").write_text("mine")
    for suffix, seed in {"wav": 1, "mp3": 2}.items():
        engine.make_song(replace(REQUEST, seed=seed), tmp_path / f"song.{suffix}")
    assert (tmp_path / "song.json").read_text() == "mine"
    assert Receipt.from_json((tmp_path / "song.wav.json").read_text(encoding="utf-8")).request.seed == 1
    assert Receipt.from_json((tmp_path / "song.mp3.json").read_text(encoding="utf-8")).request.seed == 2


def test_too_little_memory_is_told_with_what_to_do(engine, monkeypatch):
    """A song of a length that this machine cannot hold: the cache of the real model, asked to be too large."""
    grown = CachedTransformer.new_cache
    monkeypatch.setattr(CachedTransformer, "new_cache", lambda step, rows, length: grown(step, rows, length * 2**40))
    with pytest.raises(OutOfMemoryError, match="shorter song"):
        engine.generate(REQUEST)
    monkeypatch.undo()
    engine.generate(REQUEST)


def test_activate_strength_and_deactivate(engine, logits, save_adapter):
    base = logits()
    active = engine.activate(save_adapter(), strength=0.5)
    assert engine.active == active
    assert (active.style.id, active.style.method, active.strength, active.layers_changed) == ("style", "lora", 0.5, 35)
    half = logits()
    assert engine.set_strength(1.0).strength == 1.0
    assert not torch.equal(logits(), half)
    assert engine.set_strength(0.0).layers_changed == 0
    assert torch.equal(logits(), base)
    engine.deactivate()
    assert engine.active is None
    assert torch.equal(logits(), base)


def test_a_style_goes_by_the_id_that_its_folder_records(engine, save_adapter, base_folder):
    folder = save_adapter()
    trained_on = {"name": "golden", "fingerprint": fingerprint(base_folder / "HeartMuLa-golden")}
    (folder / "meta.json").write_text(json.dumps({"id": "fado-3f2a", "base_model": trained_on}))
    assert engine.activate(folder).style.id == "fado-3f2a"


def test_a_second_style_replaces_the_first(engine, logits, save_adapter):
    engine.activate(save_adapter("second", seed=1))
    second = logits()
    engine.activate(save_adapter("first", seed=0))
    engine.activate(save_adapter("second", seed=1))
    assert torch.equal(logits(), second)
    assert engine.active.style.id == "second"


def test_a_full_checkpoint_takes_the_bases_place_and_gives_it_back(engine, logits, save_full, save_adapter):
    base = logits()
    active = engine.activate(save_full())
    assert (active.style.method, active.layers_changed) == ("full", 2)
    full = logits()
    assert (full - base).abs().max() > 1e-2
    engine.activate(save_adapter())
    engine.activate(save_full())
    assert torch.equal(logits(), full)
    engine.deactivate()
    assert torch.equal(logits(), base)


def test_a_full_checkpoint_has_no_strength(engine, logits, save_full):
    base = logits()
    with pytest.raises(InvalidInputError, match="strength"):
        engine.activate(save_full(), strength=0.5)
    assert torch.equal(logits(), base)
    engine.activate(save_full())
    with pytest.raises(InvalidInputError, match="strength"):
        engine.set_strength(0.5)
    assert engine.active.strength == 1


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan"), "1", None, True])
def test_a_strength_outside_0_to_2_is_refused(engine, save_adapter, strength):
    folder = save_adapter()
    with pytest.raises(InvalidInputError, match=r"0 to 2"):
        engine.activate(folder, strength)
    engine.activate(folder)
    with pytest.raises(InvalidInputError, match=r"0 to 2"):
        engine.set_strength(strength)
    assert engine.active.strength == 1.0


def test_no_strength_without_a_style(engine):
    with pytest.raises(InvalidInputError, match="Activate"):
        engine.set_strength(0.5)


def damage(folder: Path, how: str) -> type[CheckpointError]:
    """Spoils an adapter folder in one way; returns the error that must follow."""
    weights = folder / "adapter_model.safetensors"
    meta = {"base_model": {"name": "another", "fingerprint": "0123456789abcdef"}}
    match how:
        case "another base":
            (folder / "meta.json").write_text(json.dumps(meta))
            return CheckpointMismatchError
        case "other shapes":
            tensors = {name: tensor[:, :-1].contiguous() for name, tensor in load_file(weights).items()}
            save_file(tensors, weights)
            return CheckpointMismatchError
        case "contradiction":
            config = json.loads((folder / "adapter_config.json").read_text())
            (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))
            return CheckpointMismatchError
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
            return CheckpointCorruptError
        case "not numbers":
            save_file({name: tensor.log() for name, tensor in load_file(weights).items()}, weights)
            return CheckpointCorruptError
        case "pickle":
            weights.rename(folder / "adapter_model.bin")
            return CheckpointError
        case "gone":
            shutil.rmtree(folder)
            return CheckpointMissingError
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how", ["another base", "other shapes", "contradiction", "truncated", "not numbers", "pickle", "gone"]
)
@pytest.mark.parametrize("before", ["base", "lora", "full"])
def test_a_style_that_does_not_fit_leaves_the_engine_as_it_was(engine, logits, save_adapter, save_full, how, before):
    if before != "base":
        engine.activate(save_adapter("good") if before == "lora" else save_full("good"))
    active, expected = engine.active, logits()
    bad = save_adapter("bad", seed=1)
    with pytest.raises(damage(bad, how)):
        engine.activate(bad)
    assert engine.active == active
    assert torch.equal(logits(), expected)


def test_a_full_checkpoint_of_another_size_or_without_numbers_is_refused(engine, logits, save_full):
    base = logits()
    folder = save_full()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"audio_vocab_size": 200}))
    with pytest.raises(CheckpointMismatchError, match="sizes"):
        engine.activate(folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if name != "audio_head"}, folder / "model.safetensors")
    with pytest.raises(CheckpointMismatchError, match="audio_head"):
        engine.activate(folder)
    weights["text_embeddings.weight"].fill_(torch.inf)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointCorruptError, match="not numbers"):
        engine.activate(folder)
    assert engine.active is None
    assert torch.equal(logits(), base)


@pytest.fixture
def vanishing(tmp_path, engine) -> Path:
    """A DoRA of good values which at a strength of 1 make a row of the base's weight 0, whose norm it divides by."""
    layer, folder = "backbone.layers.0.mlp.w2", tmp_path / "vanishing"
    folder.mkdir()
    row = engine.model.get_submodule(layer).weight[:1].clone()
    up = torch.zeros(engine.model.get_submodule(layer).out_features, 1)
    up[0] = -1
    parts = {"lora_A.weight": row, "lora_B.weight": up, "lora_magnitude_vector": torch.ones(len(up))}
    save_file({f"base_model.model.{layer}.{part}": value for part, value in parts.items()}, folder / WEIGHTS_FILE)
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "use_dora": True, "target_modules": [layer]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("before", ["base", "lora"])
def test_a_style_that_the_model_cannot_go_on_with_is_taken_off_again(engine, logits, save_adapter, vanishing, before):
    """**P**: whatever is activated has been applied, and its logits are numbers."""
    if before == "lora":
        engine.activate(save_adapter("good"))
    active, expected = engine.active, logits()
    with pytest.raises(CheckpointCorruptError, match=r"vanishing.*not a number"):
        engine.activate(vanishing)
    assert engine.active == active
    assert torch.equal(logits(), expected)


def test_a_strength_that_the_model_cannot_go_on_with_is_taken_back(engine, logits, vanishing):
    engine.activate(vanishing, strength=0.5)
    expected = logits()
    with pytest.raises(CheckpointCorruptError, match="not a number"):
        engine.set_strength(1.0)
    assert engine.active.strength == 0.5
    assert torch.equal(logits(), expected)


def live_tensors() -> tuple[int, int]:
    """Number and bytes of all tensors in memory."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    return len(tensors), sum(tensor.nbytes for tensor in tensors)


def test_activating_ten_times_does_not_grow_memory(engine, save_adapter, save_full):
    folders = [save_adapter("lora"), save_adapter("dora", use_dora=True), save_full()]

    for folder in folders:
        engine.activate(folder)
    before = live_tensors()
    for i in range(10):
        engine.activate(folders[i % 3])
    engine.activate(folders[-1])
    assert live_tensors() == before
    engine.deactivate()


def test_songs_differ_with_the_style_and_are_the_bases_again_without(engine, save_adapter):
    base = engine.generate(REQUEST)
    engine.activate(save_adapter())
    assert not torch.equal(engine.generate(REQUEST), base)
    engine.deactivate()
    assert torch.equal(engine.generate(REQUEST), base)


def test_a_song_and_its_receipt(engine, save_adapter, tmp_path):
    folder = save_adapter()
    engine.activate(folder, strength=0.8)
    decoded = []
    song = engine.make_song(REQUEST, tmp_path / "song.flac", decode_progress=lambda *step: decoded.append(step))
    info = soundfile.info(song.path)
    receipt = song.receipt
    assert receipt.request == REQUEST
    assert receipt.base == "HeartMuLa-golden"
    assert receipt.style.id == "style"
    assert receipt.style.sha256 == file_sha256(folder / "adapter_model.safetensors")
    assert (receipt.style.strength, receipt.style.layers_changed) == (0.8, 35)
    assert (receipt.sample_rate_hz, receipt.duration_sec) == (info.samplerate, info.duration)
    assert receipt.codec_id == stored_codebook_id(engine.base.codec)
    assert (receipt.decode_steps, receipt.decode_guidance) == (10, 1.25)
    assert receipt.frames == engine.generate(REQUEST).shape[1]
    assert Receipt.from_json((tmp_path / "song.flac.json").read_text(encoding="utf-8")) == receipt
    assert Receipt.from_json(read_tags(song.path)[RECEIPT_TAG]) == receipt
    assert decoded[-1] == (1, 1)


def test_the_same_request_gives_the_same_wav_and_the_receipt_is_in_its_tags(engine, tmp_path):
    songs = [engine.make_song(REQUEST, tmp_path / name) for name in ("a.wav", "b.wav")]
    first, second = (soundfile.read(song.path, dtype="int16")[0] for song in songs)
    assert (first == second).all()
    assert all(Receipt.from_json(read_tags(song.path)[RECEIPT_TAG]) == song.receipt for song in songs)
    assert songs[0].receipt.style is None


def test_a_wrong_suffix_is_refused_before_anything_is_made(engine, tmp_path):
    frames = []
    with pytest.raises(InvalidInputError, match="song.aiff"):
        engine.make_song(REQUEST, tmp_path / "song.aiff", progress=lambda *step: frames.append(step))
    assert frames == []


@pytest.mark.parametrize("stage", ["frames", "decoding"])
def test_cancellation_leaves_no_file(engine, tmp_path, stage):
    frames = []

    def cancelled() -> bool:
        return len(frames) >= (3 if stage == "frames" else 12)

    with pytest.raises(CancelledError):
        engine.make_song(REQUEST, tmp_path / "song.wav", lambda *step: frames.append(step), cancelled)
    assert len(frames) == (3 if stage == "frames" else 12)
    assert list(tmp_path.iterdir()) == []


def test_a_change_of_style_waits_for_the_song_being_made(engine, save_adapter):
    folder, expected = save_adapter(), engine.generate(REQUEST)
    thread = threading.Thread(target=engine.activate, args=(folder,))
    seen = []

    def progress(done: int, total: int) -> None:
        if done == 1:
            thread.start()
        time.sleep(0.02)
        seen.append(engine.active)

    codes = engine.generate(REQUEST, progress)
    thread.join(timeout=10)
    assert torch.equal(codes, expected)
    assert set(seen) == {None}
    assert engine.active is not None


def test_a_waiting_song_can_be_cancelled(engine):
    singing, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=engine.generate, args=(REQUEST, lambda *_: (singing.set(), stop.wait(10))))
    thread.start()
    assert singing.wait(10)
    started = time.monotonic()
    with pytest.raises(CancelledError):
        engine.generate(REQUEST, cancelled=lambda: True)
    assert time.monotonic() - started < 1.0
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
