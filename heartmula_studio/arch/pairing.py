"""Whether networks that each load by themselves belong together."""

from heartmula_studio.arch.codec_network import CodecConfig
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.errors import CheckpointMismatchError


def require_codec_of_model(model: HeartMuLaConfig, codec: CodecConfig, audio_eos_id: int) -> None:
    """Raise CheckpointMismatchError unless the model's audio tokens are the codec's codes and an end token."""
    codebooks, size = codec.num_quantizers, codec.codebook_size
    if model.audio_num_codebooks != codebooks or not size <= audio_eos_id < model.audio_vocab_size:
        raise CheckpointMismatchError(
            f"Language model and codec do not belong together: {model.audio_num_codebooks} codebooks of "
            f"{model.audio_vocab_size} tokens, with the end of a song at {audio_eos_id}, meet {codebooks} of {size}.",
            "Take the codec and the gen_config.json that were published with the model.",
        )


def require_encoder_of_codec(feature_width: int, codec: CodecConfig) -> None:
    """Raise CheckpointMismatchError unless the codec's quantiser takes features of the encoder's width."""
    if feature_width != codec.feature_dim:
        raise CheckpointMismatchError(
            f"Encoder and codec do not belong together: features of {feature_width} values meet a codec for "
            f"{codec.feature_dim}.",
            "HeartCodec-oss-encoder belongs to HeartCodec-oss-20260123.",
        )
