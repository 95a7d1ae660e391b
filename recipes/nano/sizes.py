"""The sizes of nano, in the official configs' own terms."""

from dataclasses import asdict

from heartmula_studio.arch.encoders import TONES as ENCODER_VERSION
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor
from heartmula_studio.arch.tone_bank import ToneConfig
from heartmula_studio.arch.tone_codec import LevelConfig, ToneCodecConfig
from heartmula_studio.arch.tone_encoder import NUM_MOVEMENTS

SAMPLE_RATE = 24_000
CODEBOOK_SIZE = 256
MOST_COMPONENTS = 12  # of what one codebook tells of
NUM_GROUPS = 12
TEXT_VOCABULARY = 1024

TONES = ToneConfig(sample_rate=SAMPLE_RATE)
NUM_FEATURES = TONES.num_levels + NUM_MOVEMENTS * NUM_GROUPS
TOLD_FROM_NOTES = (28, 39, 46, 53, 60, 68, 80)
"""The first note of each register that a codebook of its own tells of; noise is in the last of them."""


def registers() -> list[slice]:
    """Which features each codebook tells of: tones from high (with noise) to low, and last how levels move."""
    edges = [note - TONES.lowest_note for note in TOLD_FROM_NOTES] + [TONES.num_levels]
    return [*map(slice, edges[-2::-1], edges[:0:-1]), slice(TONES.num_levels, NUM_FEATURES)]


def num_components(register: slice) -> int:
    """How many principal components of its features a codebook sees."""
    return min(MOST_COMPONENTS, register.stop - register.start)


FLOORS = {"tone_floor": 0.2, "noise_floor": 5e-3}
LEVELS = LevelConfig(
    dim=NUM_FEATURES,
    codebook_size=CODEBOOK_SIZE,
    codebook_dim=sum(map(num_components, registers())),
    num_quantizers=len(registers()),
    **FLOORS,
)
CODEC = ToneCodecConfig(LEVELS, TONES)
ENCODER = {
    "version": ENCODER_VERSION,
    **asdict(TONES),
    **FLOORS,
    "num_groups": NUM_GROUPS,
}

MODEL = HeartMuLaConfig(
    backbone_flavor=LlamaFlavor(6, 4, 2, 256, 704, 4096),
    decoder_flavor=LlamaFlavor(2, 4, 2, 128, 384, 64),
    text_vocab_size=TEXT_VOCABULARY,
    # Upstream keeps five ids behind the codes; the end of a song is the second of them.
    audio_vocab_size=CODEBOOK_SIZE + 5,
    audio_num_codebooks=LEVELS.num_quantizers,
    muq_dim=512,
)

GEN_CONFIG = {
    "text_bos_id": 0,
    "text_eos_id": 1,
    "audio_eos_id": CODEBOOK_SIZE + 1,
    "empty_id": 0,
    "cfg_scale": 2.5,
    "temperature": 0.9,
    "style_temperature": 1.1,
}
