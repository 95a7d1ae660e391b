"""Measure whether tags matter: pairs of contrasting tags, told apart in what a base makes of them.

    python -m recipes.nano.tag_contrast --work DIR --base heartmula_studio/assets/nano

For each pair, a classifier on mel statistics learns from clips of held-out and test pieces of both kinds, and then says
of each generated clip which of the two it is: `told_apart` is the share that it gets right. A second one learns from
the same pieces as they come back from the codec. Neither hears loudness, nor what is so quiet that the codec's noise
covers it. `pieces_told_apart` is how far that can go: the share of the clips of pieces, back from the codec, that the
first one gets right, each piece left out of what it learns from. After eight pairs and their mean comes that of all
pairs whose pieces it can tell apart. The generated clips stay in DIR/contrast/.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.codec.codec import Codec
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from recipes.nano.audio import SAMPLE_RATE_HZ, read_stereo
from recipes.nano.manifest import read_manifest

PAIRS = (
    ("church organ", "metal"),
    ("bluegrass", "lo-fi"),
    ("music box", "rock"),
    ("chamber music", "blues"),
    ("jazz", "metal"),
    ("ambient", "salsa"),
    ("folk", "metal"),
    ("bossa nova", "church organ"),
)
# The language model learns all of these, and five unheard pieces or more carry each.
TAGS = (*dict.fromkeys(tag for pair in PAIRS for tag in pair), "techno", "house")
RECOGNISABLE = 0.9  # what less of the pieces themselves is told apart would only measure the classifier
CLIP_SEC = 6.0
CLIPS_PER_TAG = 24
LONGEST_SEC = 60.0
NOISE_FLOOR = 1.0  # what is quieter in a piece's mel spectrogram comes back from the codec at 0.2 to 2.4
SMALLEST_STD = 0.1  # in nats; a band that hardly moves in a few clips must not decide alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--cfg-scale", type=float, default=SongRequest.cfg_scale)
    arguments = parser.parse_args()
    engine, codec = Engine.load(arguments.base), Codec.load(find_base(arguments.base))
    folder = arguments.work / "contrast"
    folder.mkdir(exist_ok=True)
    kinds = {}
    for tag, records in unheard_pieces(arguments.work).items():
        made = make_clips(engine, requests_for(records, arguments.cfg_scale), folder / tag.replace(" ", "_"))
        kinds[tag] = Kind.of(codec, [arguments.work / record["file"] for record in records], made)
        print(f"{tag}: {len(records)} pieces", flush=True)
    report_all(kinds)


def report_all(kinds: Mapping[str, "Kind"]) -> None:
    """Print the shares of the eight pairs, their mean, and that of all pairs that a classifier can tell apart."""
    every = {frozenset(pair): shares_of([kinds[tag] for tag in pair]) for pair in combinations(TAGS, 2)}
    eight = [every[frozenset(pair)] for pair in PAIRS]
    for pair, shares in zip(PAIRS, eight, strict=True):
        report({"pair": pair}, [shares])
    report({"pairs": len(eight)}, eight)
    recognisable = [shares for shares in every.values() if shares["pieces_told_apart"] >= RECOGNISABLE]
    report({"pairs": len(recognisable)}, recognisable)


@dataclass(frozen=True)
class Kind:
    """Statistics of clips of one tag, [clips, features]: of each piece, of each after the codec, of generated ones."""

    pieces: list[Tensor]
    decoded: list[Tensor]
    made: Tensor

    @classmethod
    def of(cls, codec: Codec, pieces: Sequence[Path], made: Sequence[Path]) -> "Kind":
        return cls(
            [clip_statistics(read_mono(path)) for path in pieces],
            [clip_statistics(through_codec(codec, path)) for path in pieces],
            torch.cat([clip_statistics(read_mono(path)) for path in made]),
        )


def shares_of(pair: Sequence[Kind]) -> dict[str, float]:
    """The shares of clips that are told apart, by name."""
    made = [kind.made for kind in pair]
    return {
        "told_apart": share_told_apart([torch.cat(kind.pieces) for kind in pair], made),
        "told_apart_after_codec": share_told_apart([torch.cat(kind.decoded) for kind in pair], made),
        "pieces_told_apart": share_of_pieces([kind.pieces for kind in pair], [kind.decoded for kind in pair]),
    }


def report(about: dict, figures: Sequence[dict[str, float]]) -> None:
    means = {name: round(mean(shares[name] for shares in figures), 3) for name in figures[0]}
    print(json.dumps({**about, **means}), flush=True)


def unheard_pieces(work: Path) -> dict[str, list[dict]]:
    """The records of the pieces of each tag that nothing is trained on."""
    records = [record for record in read_manifest(work / "manifest.jsonl") if record["split"] != "train"]
    return {tag: [record for record in records if tag in record["tags"]] for tag in TAGS}


def requests_for(records: Sequence[dict], cfg_scale: float) -> list[SongRequest]:
    """Ask for clips with all the tags of a piece, which is how the base learnt them, of one piece after the other."""
    return [
        SongRequest(", ".join(record["tags"]), duration_sec=CLIP_SEC, seed=seed, cfg_scale=cfg_scale)
        for seed, record in zip(range(CLIPS_PER_TAG), cycle(records))
    ]


def make_clips(engine: Engine, requests: Sequence[SongRequest], start: Path) -> list[Path]:
    """Let the base make clips; their paths begin with `start`."""
    paths = [start.with_name(f"{start.name}-{request.seed}.wav") for request in requests]
    for request, path in zip(requests, paths, strict=True):
        engine.make_song(request, path)
    return paths


def read_mono(path: Path) -> Tensor:
    return read_stereo(path).mean(0)


def through_codec(codec: Codec, path: Path) -> Tensor:
    """A piece, or its first minute, as its tokens sound, [samples]."""
    codes = codec.encode_file(path).codes[:, : frames_of(LONGEST_SEC)]
    return torch.cat(list(codec.decode(codes)), dim=-1).mean(0)


def clip_statistics(sound: Tensor) -> Tensor:
    """Mean, less loudness, and spread over time of each clip's log-mel spectrogram: [samples] → [clips, 2 · bands]."""
    mel = MelSpectrogram(SAMPLE_RATE_HZ, 1024, n_mels=24, power=1.0)
    spectra = [(mel(clip) + NOISE_FLOOR).log() for clip in whole_clips(sound, round(CLIP_SEC * SAMPLE_RATE_HZ))]
    return torch.stack([torch.cat((spectrum.mean(1) - spectrum.mean(), spectrum.std(1))) for spectrum in spectra])


def whole_clips(sound: Tensor, length: int) -> list[Tensor]:
    """[samples] → clips of this length one after the other; what is shorter is one clip."""
    return [clip for clip in sound.split(length) if len(clip) == length] or [sound]


def share_told_apart(real: Sequence[Tensor], made: Sequence[Tensor]) -> float:
    """Learn from the `real` clips [n, features] of two kinds and return the share of the `made` ones recognised."""
    right = [recognise(real, clips) == number for number, clips in enumerate(made)]
    return torch.cat(right).float().mean().item()


def share_of_pieces(pieces: Sequence[list[Tensor]], decoded: Sequence[list[Tensor]]) -> float:
    """The share of the clips of decoded pieces that is recognised by what was learnt from all the other pieces.

    pieces, decoded: for two kinds, the clips [n, features] of each piece.
    """
    right = []
    for number, kind in enumerate(decoded):
        for left_out, clips in enumerate(kind):
            others = [list(own) for own in pieces]
            del others[number][left_out]
            right.append(recognise([torch.cat(own) for own in others], clips) == number)
    return torch.cat(right).float().mean().item()


def recognise(real: Sequence[Tensor], clips: Tensor) -> Tensor:
    """The number of the kind [n] that each of the clips [n, features] belongs to.

    That is the one whose mean is nearer, each feature measured by its spread within the kinds.
    """
    spread = torch.cat([kind - kind.mean(0) for kind in real]).square().mean(0).sqrt().clamp_min(SMALLEST_STD)
    means = torch.stack([kind.mean(0) for kind in real]) / spread
    return torch.cdist(clips / spread, means).argmin(1)


if __name__ == "__main__":
    main()
