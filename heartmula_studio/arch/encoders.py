"""Which encoder a config asks for."""

from collections.abc import Mapping
from typing import Any

from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.arch.window_encoder import WindowEncoder

OFFICIAL, TONES = "vqv12", "tones-v1"


def build_encoder(config: Mapping[str, Any]) -> WindowEncoder:
    """Build the encoder that a config's `version` names. Raises ValueError for an unknown one."""
    version = config.get("version", OFFICIAL)
    if version == TONES:
        return ToneEncoder(config)
    if version == OFFICIAL:
        # Loaded only here: transformers takes seconds, and small bases need none of it.
        from heartmula_studio.arch.encoder import HeartCodecEncoder

        return HeartCodecEncoder(config)
    raise ValueError(f"its version {version!r} is unknown; known are {OFFICIAL} and {TONES}")
