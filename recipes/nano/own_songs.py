"""Let a base make songs with the tags of training pieces, and keep those that end and have a beat.

    python -m recipes.nano.own_songs --work DIR --base BASE

Writes DIR/own_songs/<number>.pt, from which the next training of the language model learns as well (`prepare_model`).
What a model does well in its own songs is what it keeps doing when they go on for longer (Dong et al. 2023). Several
processes share the work where each is given its own numbers.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.codec_network import CHANNELS
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.arch.tone_bank import LEVEL_RATE_HZ
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.codec.codec import Codec
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from recipes.nano.judge import LISTENED_SEC, MUCH_FADING_DB, sound_of
from recipes.nano.level_pool import training_records
from recipes.nano.levels import levels_of
from recipes.nano.sound_figures import beat, fade_db

SONGS_AT_ONCE = 48
ALLOWED_TO_END_SEC = 5.0
SHORTEST_SEC, LONGEST_SEC = 28.0, 110.0
LEAST_BEAT = 0.6  # of that of the piece whose tags a song has
ALL_TAGS, KEPT_TAGS = 0.6, 0.7  # how often a song has all tags of a piece; else, how many of them


@dataclass(frozen=True)
class OwnSong:
    """A song that was kept: codes [K, T], and the piece of the manifest whose tags it was made with."""

    piece: str
    tags: list[str]
    codec_id: str
    codes: Tensor


def own_songs(work: Path) -> list[OwnSong]:
    """Read what was kept in DIR/own_songs."""
    files = sorted((work / "own_songs").glob("*.pt"))
    return [OwnSong(**song) for file in files for song in torch.load(file, weights_only=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument(
        "--files", type=int, default=8, help=f"how many, each of {SONGS_AT_ONCE} songs before the choice"
    )
    arguments = parser.parse_args()
    engine, codec = Engine.load(arguments.base), Codec.load(find_base(arguments.base))
    records = [record for record in training_records(arguments.work) if record["lm"]]
    for number in range(arguments.first, arguments.first + arguments.files):
        path = arguments.work / "own_songs" / f"{number}.pt"
        if not path.is_file():
            kept = list(good_songs(engine, codec, prompts(records, number), number, arguments.work))
            path.parent.mkdir(exist_ok=True)
            with replaced_file(path) as temporary:
                torch.save([vars(song) for song in kept], temporary)
            print(f"file {number}: {len(kept)} of {SONGS_AT_ONCE} songs are kept", flush=True)


def prompts(records: Sequence[dict], number: int) -> list[tuple[dict, list[str]]]:
    """Draw training pieces for a file, and their tags in another order, in part some of them."""
    draw = random.Random(number)
    pieces = [draw.choice(records) for _ in range(SONGS_AT_ONCE)]
    return [(piece, some_tags(piece["tags"], draw)) for piece in pieces]


def some_tags(tags: Sequence[str], draw: random.Random) -> list[str]:
    share = 1.0 if draw.random() < ALL_TAGS else KEPT_TAGS
    kept = [tag for tag in tags if draw.random() < share] or list(tags)
    return draw.sample(kept, len(kept))


def good_songs(
    engine: Engine, codec: Codec, asked: Sequence[tuple[dict, list[str]]], number: int, work: Path
) -> Iterator[OwnSong]:
    """Make a song for each prompt, side by side; yield those to learn from."""
    requests = [
        SongRequest(
            tags=", ".join(tags),
            duration_sec=LONGEST_SEC,
            min_duration_sec=ALLOWED_TO_END_SEC,
            seed=number * SONGS_AT_ONCE + place,
        )
        for place, (_, tags) in enumerate(asked)
    ]
    for (piece, tags), codes in zip(asked, engine.generate_together(requests), strict=True):
        if SHORTEST_SEC <= codes.shape[1] / FRAME_RATE_HZ < LONGEST_SEC and is_good(codes, codec, piece, work):
            yield OwnSong(piece["id"], tags, codec.codec_id, codes.short())


def is_good(codes: Tensor, codec: Codec, piece: dict, work: Path) -> bool:
    """Whether a song does not fade away, and has about as much of a beat as the piece whose tags it was made with."""
    heard = sound_of(codec, codes[:, : round(LISTENED_SEC * FRAME_RATE_HZ)])
    return fade_db(heard) <= MUCH_FADING_DB and beat(heard) >= LEAST_BEAT * beat_of_piece(piece, codec, work)


def beat_of_piece(piece: dict, codec: Codec, work: Path) -> float:
    """That of what its levels sound like, so that the codec counts for neither."""
    assert isinstance(codec.heartcodec, ToneCodec)
    levels = levels_of(piece, work)[:, : round(LISTENED_SEC * LEVEL_RATE_HZ)]
    return beat(codec.heartcodec.bank(levels[None, None].expand(-1, CHANNELS, -1, -1), 0)[0])


if __name__ == "__main__":
    main()
