"""Prepare the training of the language model by the Studio's own trainer.

    python -m recipes.nano.tones.prepare_model --work DIR --steps 6500
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m heartmula_studio.finetune DIR/model_job

Tokenizes every piece marked for the language model in five keys and tempi, and writes DIR/base/ and DIR/model_job/,
which the trainer resumes when it is started again.
"""

from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.codec.codec import Codec
from recipes.nano.manifest import read_manifest
from recipes.nano.prepare_model import model_arguments, write_job, write_model
from recipes.nano.tones.base_folder import load_tokenizer, write_codec
from recipes.nano.tones.sizes import GEN_CONFIG, MODEL
from recipes.nano.tones.versions import Version, versions_of


def main() -> None:
    arguments = model_arguments(__doc__).parse_args()
    base, job = arguments.work / "base", arguments.work / "model_job"
    write_model(base, arguments, MODEL, GEN_CONFIG, load_tokenizer(arguments.work)[1].quantiser)
    write_codec(arguments.work, base, torch.float16)
    codec = Codec.load(find_base(base))
    rows = [dataset_row(version, arguments.work, codec) for version in versions_to_learn(arguments.work)]
    write_job(job, base, rows, arguments)


def versions_to_learn(work: Path) -> list[Version]:
    """All versions of every training piece for the language model."""
    records = [r for r in read_manifest(work / "manifest.jsonl") if r["lm"] and r["split"] == "train"]
    return [version for record in records for version in versions_of(record)]


@torch.no_grad()
def dataset_row(version: Version, work: Path, codec: Codec) -> dict:
    """One version as a row of the dataset."""
    encoder = codec.heartcodec.encoder
    assert isinstance(encoder, ToneEncoder)
    codes = codec.heartcodec.quantize(encoder.features(version.levels(work)[None]))[0].to(torch.int16)
    return {"song": version.song_name, "tags": version.tags, "lyrics": "", "codec": codec.codec_id, "codes": codes}


if __name__ == "__main__":
    main()
