"""Prepare the training of nano's flow matching: codes and SQ latents of every training piece, in DIR/pairs/.

    python -m recipes.nano.prepare_flow --work DIR

The codec is the one in DIR/base/, which `prepare_model` writes. What is there already is not made again.
"""

import argparse
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.codec import Codec
from recipes.nano.audio import read_stereo
from recipes.nano.flow_pairs import write_pair
from recipes.nano.manifest import read_manifest
from recipes.nano.sizes import SAMPLES_PER_FRAME
from recipes.nano.versions import AS_WRITTEN, Version, tokens_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    codec = Codec.load(find_base(work / "base"))
    for record in read_manifest(work / "manifest.jsonl"):
        path = work / "pairs" / f"{record['id']}.npz"
        if record["split"] == "train" and not path.is_file():
            make_pair(record, work, codec, path)


@torch.no_grad()
def make_pair(record: dict, work: Path, codec: Codec, path: Path) -> None:
    waveform = read_stereo(work / record["file"])
    whole = waveform.shape[1] // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
    latents = codec.heartcodec.encode_latents(waveform[None, :, :whole])[0]
    write_pair(path, tokens_of(Version(record, AS_WRITTEN), work, codec).codes, latents)


if __name__ == "__main__":
    main()
