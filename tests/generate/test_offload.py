"""A model and a codec that take turns on the device, against both at once."""

import soundfile

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

REQUEST = SongRequest(tags="Piano,Happy", lyrics="[Verse]\nla la", duration_sec=1.0, seed=5)


def test_model_and_codec_taking_turns_change_nothing(base_folder, save_adapter, tmp_path, short_windows):
    engine = Engine.load(base_folder, device="cpu")
    other = Engine(engine.base, load_heartmula(engine.base.model), engine.codec, offloads=True)
    folder = save_adapter()
    for number, one in enumerate((engine, other)):
        one.activate(folder, 0.5)
        for name in ("a", "b"):
            one.make_song(REQUEST, tmp_path / f"{name}{number}.wav")
    sounds = [soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("a0.wav", "b0.wav", "a1.wav", "b1.wav")]
    assert all((sound == sounds[0]).all() for sound in sounds)
