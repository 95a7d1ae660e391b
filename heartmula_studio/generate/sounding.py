"""How a song's codes become sound: while they come from the language model, or anew without it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from heartmula_studio.arch.codec_network import FlowSteps
from heartmula_studio.codec.codec import Codec, seeded_noise
from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.receipt import Receipt, utc_now
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_writer import GeneratedSong, Listener, SongWriter


def windows_of(settings: DecodeSettings, codec: Codec) -> Literal["whole", "growing"]:
    """Return the kind of windows that a codec decodes a song in."""
    if settings.decode_windows == "auto":
        return "growing" if codec.is_heard_soon else "whole"
    return settings.decode_windows


def guidance_of(settings: DecodeSettings, codec: Codec) -> float:
    """Return the guidance that a codec decodes a song with."""
    return codec.guidance if settings.decode_guidance is None else settings.decode_guidance


def decode_pieces(
    codec: Codec,
    pieces: Iterable[Tensor],
    settings: DecodeSettings,
    song_seed: int,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Iterator[Tensor]:
    """Turn codes [K, n], as they come, into finished stretches of sound [2, n]. Raises as `Codec.decode_frames`."""
    noise = seeded_noise(settings.noise_seed(song_seed))
    steps = FlowSteps(settings.decode_steps, guidance_of(settings, codec), noise)
    return codec.decode_frames(pieces, steps, progress, cancelled, windows_of(settings, codec) == "growing")


def redecode(
    codec: Codec,
    codes: SongCodes,
    receipt: Receipt,
    settings: DecodeSettings,
    out_path: Path,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    listener: Listener | None = None,
) -> GeneratedSong:
    """Write a song from its codes and the receipt that it was made with; with the same settings, it is the same.

    Raises CheckpointMismatchError for codes of another codec, InvalidInputError for codes or a suffix that cannot be
    used, CancelledError and StorageError.
    """
    writer = SongWriter(out_path, codec.sample_rate_hz, receipt.request.loudness_lufs)
    windows = windows_of(settings, codec)
    require_codec(codes, codec)
    codec.check_codes(codes.codes)
    sound = decode_pieces(codec, [codes.codes], settings, receipt.request.seed, progress, cancelled)
    changed = replace(
        receipt,
        decode_steps=settings.decode_steps,
        decode_guidance=guidance_of(settings, codec),
        decode_seed=settings.decode_seed,
        decode_windows=windows,
        created_at=utc_now(),
    )
    return writer.write(sound, lambda: (codes, changed), listener)


def require_codec(codes: SongCodes, codec: Codec) -> None:
    """Raise CheckpointMismatchError where codes are of another codec."""
    if codes.codec_id != codec.codec_id:
        raise CheckpointMismatchError(
            f"This song was made with the codec {codes.codec_id}, but this base has {codec.codec_id}.",
            "Use the base that it was made with.",
        )
