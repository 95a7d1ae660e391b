"""Models on the Hugging Face Hub: repositories, and where heartlib looks for the files of the official ones."""

from dataclasses import dataclass

MODEL_REPO = "HeartMuLa/HeartMuLa-oss-3B-happy-new-year"
CODEC_REPO = "HeartMuLa/HeartCodec-oss-20260123"
ENCODER_REPO = "HeartMuLa/HeartCodec-oss-encoder"
TOKENIZER_REPO = "HeartMuLa/HeartMuLaGen"
TRANSCRIPTOR_REPO = "HeartMuLa/HeartTranscriptor-oss"
CODEC_FOLDER = "HeartCodec-oss"
ENCODER_FOLDER = "HeartCodec-oss-encoder"
TRANSCRIPTOR_FOLDER = "HeartTranscriptor-oss"
CLAP_REPO, CLAP_FOLDER = "laion/larger_clap_music", "larger_clap_music"
SEPARATOR_REPO, SEPARATOR_FOLDER = "adefossez/HTDemucs", "htdemucs"


@dataclass(frozen=True)
class OfficialPart:
    """A repository, and the folder in heartlib's `ckpt/` that its files belong into; "" is `ckpt/` itself."""

    repo: str
    folder: str


@dataclass(frozen=True)
class OfficialModel:
    """A model that can be downloaded; `size_bytes` is rounded, and exact as soon as the Hub has been asked.

    `use` says what comes of it once it is there.
    """

    name: str
    title: str
    licence: str
    size_bytes: int
    parts: tuple[OfficialPart, ...]
    use: str


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
        use="The studio uses it where a GPU can hold it.",
    ),
    OfficialModel(
        name="HeartTranscriptor-oss",
        title="HeartTranscriptor, to transcribe lyrics, and to find when they are sung",
        licence="Apache-2.0",
        size_bytes=3_100_000_000,
        parts=(OfficialPart(TRANSCRIPTOR_REPO, TRANSCRIPTOR_FOLDER),),
        use="Transcribe lyrics on the Dataset tab uses it.",
    ),
    OfficialModel(
        name="larger_clap_music",
        title="CLAP for music by LAION, to find tags",
        licence="Apache-2.0",
        size_bytes=780_000_000,
        parts=(OfficialPart(CLAP_REPO, CLAP_FOLDER),),
        use="Propose tags on the Dataset tab uses it.",
    ),
    OfficialModel(
        name="htdemucs",
        title="Hybrid Transformer Demucs, to separate the voice before lyrics are transcribed",
        licence="None stated; its author offers it for scientific purposes",
        size_bytes=84_000_000,
        parts=(OfficialPart(SEPARATOR_REPO, SEPARATOR_FOLDER),),
        use="Transcribe lyrics uses it where Demucs is installed: pip install 'heartmula-studio[vocals]'.",
    ),
)
