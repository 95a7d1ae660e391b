"""Measure whether tags matter: eight pairs of contrasting tags, told apart in what a base makes of them.

    python -m recipes.nano.tag_contrast --work DIR --base heartmula_studio/assets/nano

For each pair, a classifier on mel statistics learns from clips of held-out and test pieces of both kinds, and then says
of each generated clip which of the two it is: `told_apart` is the share that it gets right. A second one learns from
the same pieces as they come back from the codec, whose noise is in everything that is generated. The clips stay in
DIR/contrast/.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.quality import FLOOR
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from recipes.nano.audio import SAMPLE_RATE_HZ, read_stereo
from recipes.nano.manifest import read_manifest

PAIRS = (
    ("church organ", "metal"),
    ("bluegrass", "techno"),
    ("music box", "rock"),
    ("chamber music", "house"),
    ("jazz", "metal"),
    ("ambient", "salsa"),
    ("folk", "techno"),
    ("bossa nova", "church organ"),
)
CLIP_SEC = 6.0
CLIPS_PER_TAG = 6
LONGEST_SEC = 60.0
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
        request = SongRequest(", ".join(records[0]["tags"]), duration_sec=CLIP_SEC, cfg_scale=arguments.cfg_scale)
        made = make_clips(engine, request, folder / tag.replace(" ", "_"))
        kinds[tag] = Kind.of(codec, [arguments.work / record["file"] for record in records], made)
        print(f"{tag}: {len(records)} pieces", flush=True)
    figures = [told_apart([kinds[tag] for tag in pair]) for pair in PAIRS]
    for pair, shares in zip(PAIRS, figures, strict=True):
        report({"pair": pair}, [shares])
    report({}, figures)


@dataclass(frozen=True)
class Kind:
    """Statistics of clips of one tag, [clips, features]: of pieces, of the same after the codec, of generated ones."""

    real: Tensor
    decoded: Tensor
    made: Tensor

    @classmethod
    def of(cls, codec: Codec, pieces: Sequence[Path], made: Sequence[Path]) -> "Kind":
        return cls(
            clip_statistics(map(read_mono, pieces)),
            clip_statistics(through_codec(codec, path) for path in pieces),
            clip_statistics(map(read_mono, made)),
        )


def told_apart(pair: Sequence[Kind]) -> tuple[float, float]:
    """The shares of the generated clips that are recognised by the two classifiers."""
    made = [kind.made for kind in pair]
    return share_told_apart([kind.real for kind in pair], made), share_told_apart([kind.decoded for kind in pair], made)


def report(about: dict, figures: Sequence[tuple[float, float]]) -> None:
    real, decoded = (round(mean(column), 3) for column in zip(*figures, strict=True))
    print(json.dumps({**about, "told_apart": real, "told_apart_after_codec": decoded}), flush=True)


def unheard_pieces(work: Path) -> dict[str, list[dict]]:
    """The records of the pieces of each tag that nothing is trained on."""
    records = [record for record in read_manifest(work / "manifest.jsonl") if record["split"] != "train"]
    return {tag: [record for record in records if tag in record["tags"]] for pair in PAIRS for tag in pair}


def make_clips(engine: Engine, request: SongRequest, start: Path) -> list[Path]:
    """Let the base make clips of all the tags of a piece, which is how it learnt them; paths begin with `start`."""
    paths = [start.with_name(f"{start.name}-{seed}.wav") for seed in range(CLIPS_PER_TAG)]
    for seed, path in enumerate(paths):
        engine.make_song(replace(request, seed=seed), path)
    return paths


def read_mono(path: Path) -> Tensor:
    return read_stereo(path).mean(0)


def through_codec(codec: Codec, path: Path) -> Tensor:
    """A piece, or its first minute, as its tokens sound, [samples]."""
    codes = codec.encode_file(path).codes[:, : frames_of(LONGEST_SEC)]
    return torch.cat(list(codec.decode(codes)), dim=-1).mean(0)


def clip_statistics(sounds: Iterable[Tensor]) -> Tensor:
    """Mean and spread over time of the log-mel spectrogram of each clip in [samples], as [clips, 2 · bands]."""
    length = round(CLIP_SEC * SAMPLE_RATE_HZ)
    clips = [clip for sound in sounds for clip in whole_clips(sound, length)]
    mel = MelSpectrogram(SAMPLE_RATE_HZ, 1024, n_mels=24, power=1.0)
    spectra = [(mel(clip) + FLOOR).log() for clip in clips]
    return torch.stack([torch.cat((spectrum.mean(1), spectrum.std(1))) for spectrum in spectra])


def whole_clips(sound: Tensor, length: int) -> list[Tensor]:
    """[samples] → clips of this length one after the other; what is shorter is one clip."""
    return [clip for clip in sound.split(length) if len(clip) == length] or [sound]


def share_told_apart(real: list[Tensor], made: list[Tensor]) -> float:
    """Learn from the `real` clips [n, features] of two kinds; return the share of the `made` ones that is recognised.

    A clip belongs to the kind whose mean is nearer, each feature measured by its spread within the kinds.
    """
    spread = torch.cat([kind - kind.mean(0) for kind in real]).square().mean(0).sqrt().clamp_min(SMALLEST_STD)
    means = torch.stack([kind.mean(0) for kind in real]) / spread
    right = [torch.cdist(kind / spread, means).argmin(1) == number for number, kind in enumerate(made)]
    return torch.cat(right).float().mean().item()


if __name__ == "__main__":
    main()
