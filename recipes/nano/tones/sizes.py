"""The sizes of the base of tones, in the official configs' own terms."""

from dataclasses import asdict, replace

from heartmula_studio.arch.encoders import TONES as ENCODER_VERSION
from heartmula_studio.arch.tone_bank import ToneConfig
from heartmula_studio.arch.tone_codec import LevelConfig, ToneCodecConfig
from heartmula_studio.arch.tone_encoder import NUM_MOVEMENTS
from recipes.nano import sizes as nano

CODEBOOK_SIZE = 128
NUM_GROUPS = 12

TONES = ToneConfig(sample_rate=nano.SAMPLE_RATE)
LEVELS = LevelConfig(
    dim=TONES.num_levels + NUM_MOVEMENTS * NUM_GROUPS,
    codebook_size=CODEBOOK_SIZE,
    codebook_dim=48,
    num_quantizers=nano.NUM_CODEBOOKS,
)
CODEC = ToneCodecConfig(LEVELS, TONES)
ENCODER = {
    "version": ENCODER_VERSION,
    **asdict(TONES),
    "floor": 5e-3,
    "movement_weight": 2.0,
    "weighed_notes": (45, 94),
    "note_weight": 1.3,
    "num_groups": NUM_GROUPS,
}

# Upstream keeps five ids behind the codes; the end of a song is the second of them.
MODEL = replace(nano.MODEL, audio_vocab_size=CODEBOOK_SIZE + 5)
GEN_CONFIG = nano.GEN_CONFIG | {"audio_eos_id": CODEBOOK_SIZE + 1}
