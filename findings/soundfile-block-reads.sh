#!/usr/bin/env bash
# soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
#
# Guess: SoundFile.read(n), called again and again, gives the same samples as one read of the whole file.
# What happens: not for MP3 of variable bitrate. After every read python-soundfile seeks to where the file already is, and
# for MP3 libsndfile then starts its decoder anew, without the bit reservoir (bits of a frame that earlier frames hold):
# blocks begin with bursts of noise. Reading through the C function, without that seek, is exact.
#
# Output seen:
#   largest error: 0.6 by SoundFile.read, 0 by sf_readf_float
#   SoundFile.read differs from the whole read: True
#   sf_readf_float differs from the whole read: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip install -q --target "$folder/lib" soundfile==0.14.0 numpy==2.4.6

PYTHONPATH="$folder/lib" python3 - "$folder/song.mp3" <<'PY'
import sys

import numpy as np
import soundfile

path, block = sys.argv[1], 3000
time = np.arange(6 * 44100)[:, None] / 44100
noise = np.random.default_rng(0).standard_normal((len(time), 2))
played = np.where(np.sin(2 * np.pi * 1.7 * time) > -0.3, 1, 0.002)
with soundfile.SoundFile(path, "w", 44100, 2, format="MP3", bitrate_mode="VARIABLE", compression_level=0.9) as file:
    file.write((0.4 * np.sin(2 * np.pi * 220 * time) + 0.1 * noise) * played)
whole = soundfile.read(path, dtype="float32")[0]

with soundfile.SoundFile(path) as file:
    pieces = [file.read(block, dtype="float32") for _ in range(0, len(whole), block)]
by_read = np.abs(np.concatenate(pieces) - whole).max()

with soundfile.SoundFile(path) as file:
    heard = np.zeros((len(whole) // block + 1, block, 2), np.float32)
    for row in heard:
        soundfile._snd.sf_readf_float(file._file, soundfile._ffi.cast("float*", row.ctypes.data), block)
by_call = np.abs(heard.reshape(-1, 2)[: len(whole)] - whole).max()

print(f"largest error: {by_read:.2g} by SoundFile.read, {by_call:.2g} by sf_readf_float")
print("SoundFile.read differs from the whole read:", bool(by_read > 1e-3))
print("sf_readf_float differs from the whole read:", bool(by_call > 1e-6))
sys.exit(not (by_read > 1e-3 and by_call <= 1e-6))
PY
