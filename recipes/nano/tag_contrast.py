"""Measure whether tags matter: eight pairs of contrasting tags, told apart in what a base makes of them.

    python -m recipes.nano.tag_contrast --work DIR --base heartmula_studio/assets/nano

For each pair, a classifier on mel statistics learns from clips of held-out pieces of both kinds, and then says of each
generated clip which of the two it is. The clips stay in DIR/contrast/.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from heartmula_studio.codec.quality import FLOOR
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from recipes.nano.audio import SAMPLE_RATE_HZ, read_stereo
from recipes.nano.manifest import held_out

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
SMALLEST_STD = 0.1  # in nats; a band that hardly moves in a few clips must not decide alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    arguments = parser.parse_args()
    records = held_out(arguments.work)
    engine, folder = Engine.load(arguments.base), arguments.work / "contrast"
    folder.mkdir(exist_ok=True)
    shares = []
    for pair in PAIRS:
        kinds = [[record for record in records if tag in record["tags"]] for tag in pair]
        real = [clip_statistics(arguments.work / record["file"] for record in kind) for kind in kinds]
        made = [clip_statistics(make_clips(engine, kind[0]["tags"], folder)) for kind in kinds]
        shares.append(share_told_apart(real, made))
        print(json.dumps({"pair": pair, "told_apart": round(shares[-1], 3)}), flush=True)
    print(json.dumps({"told_apart": round(sum(shares) / len(shares), 3)}))


def make_clips(engine: Engine, tags: list[str], folder: Path) -> list[Path]:
    """Let the base make clips of all the `tags` of a piece, which is how it learnt them."""
    paths = []
    for seed in range(CLIPS_PER_TAG):
        paths.append(folder / f"{tags[0]}-{seed}.wav".replace(" ", "_"))
        engine.make_song(SongRequest(", ".join(tags), duration_sec=CLIP_SEC, seed=seed), paths[-1])
    return paths


def clip_statistics(paths: Iterable[Path]) -> Tensor:
    """Mean and spread over time of the log-mel spectrogram of each clip in the files, [clips, 2 · bands]."""
    length = round(CLIP_SEC * SAMPLE_RATE_HZ)
    clips = [clip for path in paths for clip in whole_clips(read_stereo(path).mean(0), length)]
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
