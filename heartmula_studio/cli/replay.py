"""A song made again by its receipt, or decoded again from its codes."""

from argparse import Namespace
from pathlib import Path

from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES, AudioWriter
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.errors import (
    CannotReplayError,
    CheckpointMismatchError,
    ConflictError,
    InvalidInputError,
)
from heartmula_studio.generate.decode_settings import DECODE, DecodeSettings
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.kept_codes import NOTHING_KEPT, KeptCodes
from heartmula_studio.generate.receipt import Receipt, codes_path
from heartmula_studio.generate.receipt_file import read_receipt
from heartmula_studio.generate.replay import compare, decode_settings, requests_of
from heartmula_studio.generate.replay_styles import find_styles
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_writer import GeneratedSong
from heartmula_studio.generate.sounding import decode_pieces
from heartmula_studio.generate.takes import SongOutput
from heartmula_studio.services.songs.prefixes import around
from heartmula_studio.settings import Settings

CODES_SUFFIX = ".safetensors"


def replay(arguments: Namespace) -> int:
    """Make a song again, and say whether it is the same. Raises as `read_receipt`, `find_styles` and `Engine.load`."""
    receipt, settings = read_receipt(arguments.receipt), Settings.load()
    runtime = Runtime.of(settings, arguments.base, arguments.device)
    folders = [*arguments.style, *sorted((settings.data_dir / "checkpoints").glob("[!.]*/"))]
    styles = find_styles(receipt, runtime.base, folders)
    engine = Engine.load(runtime.base_name, str(runtime.device))
    if styles:
        engine.activate_mix(styles)
    song = make_again(engine, receipt, arguments.out, arguments.receipt)
    result = compare(receipt, song.receipt)
    print(f"{song.path}: {result.sentence}")
    return ConflictError.exit_code if result.is_same is False else 0


def make_again(engine: Engine, receipt: Receipt, path: Path, source: Path) -> GeneratedSong:
    """Make a song beside the same takes as then, and write it alone."""
    requests, number = requests_of(receipt)
    kept = kept_of(receipt, source)
    outputs = [SongOutput(path) if other == number else None for other in range(len(requests))]
    with progress_bar(f"Composing {path.name}", "frame") as frames:
        made = engine.make_takes(requests, outputs, frames, decoding=decode_settings(receipt), kept=kept)
    song = made[number]
    assert song is not None, "it cannot be cancelled by itself"
    return song


def kept_of(receipt: Receipt, source: Path) -> KeptCodes:
    """Return what a song kept of another one, as the codes beside it or its receipt hold it.

    Raises CannotReplayError where there are none, or they are of another song.
    """
    if NOTHING_KEPT.are_of(receipt):
        return NOTHING_KEPT
    song = source if source.suffix.lower() in AUDIO_SUFFIXES else source.with_suffix("")
    kept = KeptCodes.ends_of(SongCodes.load(codes_path(song)), receipt.prefix_frames, receipt.suffix_frames)
    if not kept.are_of(receipt):
        raise CannotReplayError(f"The codes beside {song} are of another song.", "Put its own beside it.")
    return kept


def detokenize(arguments: Namespace) -> int:
    """Turn tokens of a track, or the codes of a song, into sound."""
    source = read_codes(arguments.tokens)
    codec = Runtime.of(Settings.load(), arguments.base, arguments.device).load_codec()
    if source.codec_id != codec.codec_id:
        raise CheckpointMismatchError(
            f"{arguments.tokens} was made with the codec {source.codec_id}, but this base has {codec.codec_id}.",
            "Give the base it was made with (--base), or tokenize the song again.",
        )
    codec.check_codes(source.codes)
    given = {name: value for name in DECODE if (value := getattr(arguments, name)) is not None}
    settings = DecodeSettings(**given)
    with (
        AudioWriter(arguments.out, codec.sample_rate_hz) as writer,
        progress_bar("Turning tokens into sound", "window") as report,
    ):
        for stretch in decode_pieces(codec, [source.codes], settings, source.seed, report):
            writer.write(stretch)
    print(arguments.out)
    return 0


def read_kept(path: Path | None, from_sec: float | None, to_sec: float | None) -> tuple[KeptCodes, float | None]:
    """Read what a song keeps of tokens, or of the codes beside a song, and how long it is where it keeps its end.

    Raises as `read_codes` and `around`, and InvalidInputError for a stretch of no song.
    """
    if path is None:
        if from_sec is not None or to_sec is not None:
            raise InvalidInputError("--from and --to are given without a song.", "Name it with --continue.")
        return NOTHING_KEPT, None
    codes = read_codes(codes_path(path) if path.suffix.lower() in AUDIO_SUFFIXES else path)
    return around(codes, from_sec, to_sec), None if to_sec is None else codes.duration_sec


def read_codes(path: Path) -> SongCodes:
    """Read a song's codes, or the tokens of a track. Raises as `SongCodes.load` and `Tokens.load`."""
    if path.suffix == CODES_SUFFIX:
        return SongCodes.load(path)
    tokens = Tokens.load(path)
    return SongCodes(tokens.codes, tokens.codec_id, seed=0)
