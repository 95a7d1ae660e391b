"""The official checkpoints on the Hugging Face Hub: repositories, and where heartlib looks for their files."""

from dataclasses import dataclass

MODEL_REPO = "HeartMuLa/HeartMuLa-oss-3B-happy-new-year"
CODEC_REPO = "HeartMuLa/HeartCodec-oss-20260123"
ENCODER_REPO = "HeartMuLa/HeartCodec-oss-encoder"
TOKENIZER_REPO = "HeartMuLa/HeartMuLaGen"
TRANSCRIPTOR_REPO = "HeartMuLa/HeartTranscriptor-oss"
CODEC_FOLDER = "HeartCodec-oss"
ENCODER_FOLDER = "HeartCodec-oss-encoder"


@dataclass(frozen=True)
class OfficialPart:
    """A repository, and the folder in heartlib's `ckpt/` that its files belong into; "" is `ckpt/` itself."""

    repo: str
    folder: str


@dataclass(frozen=True)
class OfficialModel:
    """A model that can be downloaded; `size_bytes` is rounded, and exact as soon as the Hub has been asked."""

    name: str
    title: str
    licence: str
    size_bytes: int
    parts: tuple[OfficialPart, ...]


OFFICIAL_MODELS = (
    OfficialModel(
        name="HeartMuLa-oss-3B",
        title="HeartMuLa 3B with its codec and encoder, to make songs and to learn styles",
        licence="Apache-2.0",
        size_bytes=24_600_000_000,
        parts=(
            OfficialPart(MODEL_REPO, "HeartMuLa-oss-3B"),
            OfficialPart(CODEC_REPO, CODEC_FOLDER),
            OfficialPart(ENCODER_REPO, ENCODER_FOLDER),
            OfficialPart(TOKENIZER_REPO, ""),
        ),
    ),
)
