"""The sound of a song anew from its codes, without the language model."""

from dataclasses import replace
from pathlib import Path

from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import Receipt, utc_now
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_writer import GeneratedSong, SongWriter


def redecode(
    codec: Codec,
    codes: SongCodes,
    receipt: Receipt,
    settings: DecodeSettings,
    out_path: Path,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> GeneratedSong:
    """Write a song from its codes and the receipt that it was made with; with the same settings, it is the same.

    Raises CheckpointMismatchError for codes of another codec, InvalidInputError for a suffix that cannot be written,
    CancelledError and StorageError.
    """
    writer = SongWriter(out_path, codec.sample_rate_hz)
    require_codec(codes, codec)
    sound = codec.decode(
        codes.codes,
        settings.noise_seed(receipt.request.seed),
        progress,
        cancelled,
        settings.decode_steps,
        settings.decode_guidance,
    )
    changed = replace(
        receipt,
        decode_steps=settings.decode_steps,
        decode_guidance=settings.decode_guidance,
        decode_seed=settings.decode_seed,
        created_at=utc_now(),
    )
    return writer.write(sound, codes, changed)


def require_codec(codes: SongCodes, codec: Codec) -> None:
    """Raise CheckpointMismatchError where codes are of another codec."""
    if codes.codec_id != codec.codec_id:
        raise CheckpointMismatchError(
            f"This song was made with the codec {codes.codec_id}, but this base has {codec.codec_id}.",
            "Use the base that it was made with.",
        )
