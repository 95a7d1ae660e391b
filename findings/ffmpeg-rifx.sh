#!/usr/bin/env bash
# PyAV 18.1.0 with its FFmpeg 8.1.2 (FFmpeg 5.1 does the same); soundfile 0.14.0 with its libsndfile 1.2.2; numpy 2.4.6.
#
# Guess: a big-endian WAV file (RIFX), which FFmpeg opens without a word, is decoded right or refused.
# What happens: FFmpeg reads the header big-endian and the samples little-endian: right length, full-scale noise.
#
# Output seen:
#   both read 44,100 samples; loudest: libsndfile 0.10, FFmpeg 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip install -q --target "$folder/lib" soundfile==0.14.0 av==18.1.0 numpy==2.4.6

PYTHONPATH="$folder/lib" python3 - "$folder/song.wav" <<'PY'
import sys

import av
import numpy as np
import soundfile

path = sys.argv[1]
soundfile.write(path, 0.1 * np.sin(np.arange(44100) * 0.05), 44100, subtype="PCM_16", endian="BIG")
right = soundfile.read(path, dtype="float32")[0]
with av.open(path) as file:
    heard = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)]) / 32768
peaks = np.abs(right).max(), np.abs(heard).max()
print(f"both read {len(right):,} samples; loudest: libsndfile {peaks[0]:.2f}, FFmpeg {peaks[1]:.2f}")
sys.exit(not (len(heard) == len(right) and peaks[1] > 5 * peaks[0]))
PY
