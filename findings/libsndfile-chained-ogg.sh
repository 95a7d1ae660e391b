#!/usr/bin/env bash
# soundfile 0.14.0 with its libsndfile 1.2.2; PyAV 18.1.0 with its FFmpeg 8.1.2; numpy 2.4.6.
#
# Guess: an Ogg file of two songs behind each other, a chain as radio recordings are (RFC 3533, section 4), is read whole.
# What happens: libsndfile reads the first song only, without an error. FFmpeg reads both, but joins them by the second
# one's time stamps: in Vorbis it keeps samples that the first song's end position cuts off, so that all that follows is
# late by them.
#
# Output seen:
#   two songs of 44,100 samples: libsndfile reads 44,100, FFmpeg 88,328
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip install -q --target "$folder/lib" soundfile==0.14.0 av==18.1.0 numpy==2.4.6

PYTHONPATH="$folder/lib" python3 - "$folder" <<'PY'
import sys
from pathlib import Path

import av
import numpy as np
import soundfile

song, chain = Path(sys.argv[1], "song.ogg"), Path(sys.argv[1], "chain.ogg")
soundfile.write(song, 0.1 * np.random.default_rng(0).standard_normal(44100), 44100, format="OGG", subtype="VORBIS")
chain.write_bytes(2 * song.read_bytes())

by_libsndfile = len(soundfile.read(chain)[0])
with av.open(str(chain)) as file:
    by_ffmpeg = sum(frame.samples for frame in file.decode(audio=0))
print(f"two songs of 44,100 samples: libsndfile reads {by_libsndfile:,}, FFmpeg {by_ffmpeg:,}")
sys.exit(not (by_libsndfile == 44100 and by_ffmpeg > 2 * 44100))
PY
