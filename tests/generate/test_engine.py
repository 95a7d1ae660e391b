import gc
import json
import shutil
import threading
import time
from dataclasses import replace

import pytest
import soundfile
import torch
from safetensors.torch import save

from heartmula_studio.arch.device import pick_device
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.pcm import pcm_16
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import (
    CancelledError,
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
    NotFoundError,
    OutOfMemoryError,
)
from heartmula_studio.files.hashing import file_sha256, fingerprint
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.decoding.cached_transformer import CachedTransformer
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.receipt import Receipt, codes_path
from heartmula_studio.generate.replay import compare, decode_settings, requests_of
from heartmula_studio.generate.request import SongRequest, takes_of
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_tags import RECEIPT_TAG
from heartmula_studio.generate.song_writer import GeneratedSong
from heartmula_studio.generate.sounding import redecode
from heartmula_studio.generate.strength import Strength
from heartmula_studio.generate.takes import SongOutput

REQUEST = SongRequest(tags="Piano,Happy", lyrics="[Verse]\nla la", duration_sec=1.0, seed=5)


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


def test_songs_of_one_name_keep_their_own_receipts(engine, tmp_path):
    (tmp_path / "song.json").write_text("mine")
    for suffix, seed in {"wav": 1, "mp3": 2}.items():
        engine.make_song(replace(REQUEST, seed=seed), tmp_path / f"song.{suffix}")
    assert (tmp_path / "song.json").read_text() == "mine"
    assert Receipt.from_json((tmp_path / "song.wav.json").read_text(encoding="utf-8")).request.seed == 1
    assert Receipt.from_json((tmp_path / "song.mp3.json").read_text(encoding="utf-8")).request.seed == 2


def test_too_little_memory_is_told_with_what_to_do(base_folder, monkeypatch):
    """A song of a length that this machine cannot hold: the cache of the real model, asked to be too large."""
    engine = Engine.load(base_folder, device="cpu")
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
    assert receipt.request == replace(REQUEST, cfg_scale=1.5, temperature=1.0)
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
    codes = SongCodes.load(tmp_path / "song.flac.codes.safetensors")
    assert torch.equal(codes.codes.long(), engine.generate(REQUEST))
    assert (codes.codec_id, codes.seed, codes.sha256) == (receipt.codec_id, REQUEST.seed, receipt.codes_sha256)


def test_what_a_request_leaves_out_is_what_suits_its_base(base_folder, tmp_path):
    root = shutil.copytree(base_folder, tmp_path / "base")
    for name, values in {
        "gen_config.json": {"cfg_scale": 3.0, "temperature": 0.5},
        "HeartCodec-golden/config.json": {"guidance": 2.0},
    }.items():
        path = root / name
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")
    engine = Engine.load(root, device="cpu")
    song = engine.make_song(REQUEST, tmp_path / "song.wav")
    made = song.receipt.request
    assert (made.cfg_scale, made.temperature, song.receipt.decode_guidance) == (3.0, 0.5, 2.0)
    told = replace(REQUEST, cfg_scale=3.0, temperature=0.5)
    assert torch.equal(engine.generate(REQUEST), engine.generate(told))
    for other in ({"cfg_scale": 1.5}, {"temperature": 1.0}):
        assert not torch.equal(engine.generate(REQUEST), engine.generate(replace(REQUEST, **other)))
    as_told = engine.make_song(told, tmp_path / "told.wav", decoding=DecodeSettings(decode_guidance=2.0))
    assert compare(song.receipt, as_told.receipt).is_same


def test_a_song_in_a_style_has_the_temperature_that_suits_styles_of_its_base(base_folder, save_adapter, tmp_path):
    path = shutil.copytree(base_folder, tmp_path / "base") / "gen_config.json"
    values = {"temperature": 0.5, "style_temperature": 0.8}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")
    engine = Engine.load(path.parent, device="cpu")

    def temperature(request: SongRequest) -> float | None:
        return engine.make_song(request, tmp_path / "song.wav").receipt.request.temperature

    assert temperature(REQUEST) == 0.5
    engine.activate(save_adapter())
    assert (temperature(REQUEST), temperature(replace(REQUEST, temperature=0.7))) == (0.8, 0.7)
    assert torch.equal(engine.generate(REQUEST), engine.generate(replace(REQUEST, temperature=0.8)))
    engine.set_strength(0)
    assert temperature(REQUEST) == 0.5  # what has no strength sounds like the base
    engine.set_strength(Strength(0, mlp=0.5))
    assert temperature(REQUEST) == 0.8
    engine.deactivate()
    assert temperature(REQUEST) == 0.5


def test_a_song_is_decoded_anew_from_its_codes(engine, tmp_path):
    song = engine.make_song(REQUEST, tmp_path / "song.wav")
    codes = SongCodes.load(codes_path(song.path))

    def again(name: str, settings: DecodeSettings) -> GeneratedSong:
        with engine.codec_in_use() as codec:
            return redecode(codec, codes, song.receipt, settings, tmp_path / name)

    same, other = again("same.wav", DecodeSettings()), again("other.wav", DecodeSettings(2, 1.0, 9))
    first, second, third = (soundfile.read(made.path, dtype="int16")[0] for made in (song, same, other))
    assert (first == second).all()
    assert compare(song.receipt, same.receipt).is_same
    assert (third != first).any()
    assert (other.receipt.decode_steps, other.receipt.decode_guidance, other.receipt.decode_seed) == (2, 1.0, 9)
    assert other.receipt.codes_sha256 == song.receipt.codes_sha256
    made_again = engine.make_song(REQUEST, tmp_path / "again.wav", decoding=decode_settings(other.receipt))
    assert compare(other.receipt, made_again.receipt).is_same
    foreign = replace(codes, codec_id="heartcodec-other")
    with engine.codec_in_use() as codec, pytest.raises(CheckpointMismatchError, match="heartcodec-other"):
        redecode(codec, foreign, song.receipt, DecodeSettings(), tmp_path / "foreign.wav")


@pytest.mark.parametrize("windows", ["whole", "growing"])
def test_a_song_is_heard_while_it_is_made_and_sounds_as_the_finished_one(engine, tmp_path, windows):
    """Of a song of several windows: the first sound comes before the last frame, and all of it is in the file."""
    request, done, heard = replace(REQUEST, duration_sec=9.0), [], []
    song = engine.make_song(
        request,
        tmp_path / "song.wav",
        lambda frames, _: done.append(frames),
        decoding=DecodeSettings(decode_steps=1, decode_windows=windows),
        listener=lambda stretch: heard.append((done[-1], pcm_16(stretch))),
    )
    assert song.receipt.decode_windows == windows
    frames_before_sound = heard[0][0]
    assert frames_before_sound == (32 if windows == "growing" else 72) < song.receipt.frames
    finished, _ = soundfile.read(song.path, dtype="int16")
    assert b"".join(sound for _, sound in heard) == finished.astype("<i2").tobytes()
    with engine.codec_in_use() as codec:
        codes = SongCodes.load(codes_path(song.path))
        again = redecode(codec, codes, song.receipt, decode_settings(song.receipt), tmp_path / "again.wav")
    assert again.receipt.sound_sha256 == song.receipt.sound_sha256


def test_takes_are_made_side_by_side_and_each_is_made_again_beside_the_same_ones(engine, tmp_path):
    requests = takes_of(REQUEST, 3)
    outputs = [SongOutput(tmp_path / f"{number}.wav") for number in range(3)]
    cancelled = replace(outputs[1], cancelled=lambda: True)
    finished = []
    takes = engine.make_takes(requests, [outputs[0], cancelled, outputs[2]], finished=lambda *one: finished.append(one))
    first, none, last = takes
    assert finished == [(0, first), (2, last)]
    assert none is None
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".wav"} == {"0.wav", "2.wav"}
    assert (last.receipt.takes, last.receipt.request.seed) == ((5, 6, 7), 7)
    expected = engine.generate_together(requests)
    assert torch.equal(SongCodes.load(codes_path(last.path)).codes.long(), expected[2])
    again, number = requests_of(last.receipt)
    made = engine.make_takes(again, [None, None, SongOutput(tmp_path / "again.wav")])[number]
    assert compare(last.receipt, made.receipt).is_same
    with pytest.raises(InvalidInputError, match="9 takes"):
        takes_of(REQUEST, 9)
    with pytest.raises(InvalidInputError, match="2 takes"):
        requests_of(replace(last.receipt, takes=(1, 2)))


def test_songs_of_several_requests_are_those_that_are_made_alone(engine, tmp_path):
    """As PyTorch computes a row of a batch on this processor: with the same codes, if not the same last bits."""
    others = [replace(REQUEST, tags="techno", lyrics="", duration_sec=1.5, seed=8), replace(REQUEST, cfg_scale=2.5)]
    requests = [REQUEST, *others]
    outputs = [SongOutput(tmp_path / f"{number}.wav") for number in range(3)]
    together = engine.make_takes(requests, outputs)
    for request, song in zip(requests, together, strict=True):
        alone = engine.make_song(request, tmp_path / "alone.wav")
        assert song.receipt.codes_sha256 == alone.receipt.codes_sha256
        assert (song.receipt.takes, song.receipt.num_beside, alone.receipt.num_beside) == ((), 2, 0)


def test_damaged_codes_are_told(tmp_path):
    path = tmp_path / "song.wav.codes.safetensors"
    with pytest.raises(NotFoundError, match="earlier releases"):
        SongCodes.load(path)
    for content in (b"", b"codes", save({"codes": torch.zeros(8, 3)}, {"codec_id": "c", "seed": "1"})):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="codes"):
            SongCodes.load(path)


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
