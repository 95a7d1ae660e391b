"""The sizes of nano, in the official configs' own terms."""

from heartmula_studio.arch.flow_matching import FlowMatchingConfig
from heartmula_studio.arch.heartcodec import HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor
from heartmula_studio.arch.scalar_codec import ScalarCodecConfig

SAMPLE_RATE = 24_000
SAMPLES_PER_FRAME = 1920
NUM_CODEBOOKS = 8
CODEBOOK_SIZE = 64
FEATURE_DIM = 128
TEXT_VOCABULARY = 1024

# 240 polyphase bands: everything runs at 100 Hz or below, in matrices large enough to be fast on a CPU.
SCALAR = ScalarCodecConfig(
    num_bands=240,
    sample_rate=SAMPLE_RATE,
    causal=True,
    num_samples=1,
    downsample_factors=(4,),
    downsample_kernel_sizes=(8,),
    upsample_factors=(4,),
    upsample_kernel_sizes=(8,),
    latent_hidden_dim=128,
    init_channel=256,
    res_kernel_size=3,
)

FLOW = FlowMatchingConfig(
    dim=FEATURE_DIM,
    codebook_size=CODEBOOK_SIZE,
    codebook_dim=64,
    num_quantizers=NUM_CODEBOOKS,
    decay=0.95,
    threshold_ema_dead_code=1,
    attention_head_dim=32,
    num_attention_heads=6,
    num_layers=2,
    num_layers_2=1,
    in_channels=2 * 256 + FEATURE_DIM,
    out_channels=256,
    window_frames=(64, 128, 372),
    guidance=2.0,
)

CODEC = HeartCodecConfig(FLOW, SCALAR)

ENCODER = {
    "version": "mel-v2",
    "sample_rate": SAMPLE_RATE,
    "n_fft": 4096,
    "n_mels": 160,
    "floor": 1e-3,
    "mean": 1.8,
    "std": 1.5,
    "query": {"dim": FEATURE_DIM, "num_layers": 2, "head_dim": 32, "interval": 2},
}

MODEL = HeartMuLaConfig(
    backbone_flavor=LlamaFlavor(6, 4, 2, 256, 704, 4096),
    decoder_flavor=LlamaFlavor(2, 4, 2, 128, 384, 64),
    text_vocab_size=TEXT_VOCABULARY,
    # Upstream keeps five ids behind the codes; the end of a song is the second of them.
    audio_vocab_size=CODEBOOK_SIZE + 5,
    audio_num_codebooks=NUM_CODEBOOKS,
    muq_dim=512,
)

GEN_CONFIG = {"text_bos_id": 0, "text_eos_id": 1, "audio_eos_id": CODEBOOK_SIZE + 1, "empty_id": 0, "cfg_scale": 2.5}
