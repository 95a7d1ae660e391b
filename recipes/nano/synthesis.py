"""Render MIDI with FluidSynth."""

import subprocess
import tempfile
from pathlib import Path

import mido
from torch import Tensor

from recipes.nano.audio import read_stereo

FLUID_BANK = "fluid-soundfont-gm/usr/share/sounds/sf2/FluidR3_GM.sf2"
MUSESCORE_BANK = "musescore-general-soundfont/usr/share/sounds/sf3/MuseScore_General_Full.sf3"
# FluidSynth resamples its 44.1 kHz samples without a low-pass. At 32 kHz what folds back lands above 10 kHz,
# where almost none of it survives the proper resampling to 24 kHz; rendering at 44.1 kHz would cost 40 % more.
RENDER_RATE_HZ = 32_000
GAIN = 0.3


def render(midi: mido.MidiFile, bank: Path) -> Tensor:
    """Play a MIDI file with a sound bank: [2, samples] at 24 kHz, not clipped."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
        midi.save(score)
        options = ["-ni", "-q", "-o", "synth.dynamic-sample-loading=1", "-r", str(RENDER_RATE_HZ), "-g", str(GAIN)]
        output = ["-O", "float", "-T", "wav", "-F", sound]
        subprocess.run(["fluidsynth", *options, *output, bank, score], check=True)
        return read_stereo(sound)
