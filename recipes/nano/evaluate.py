"""Measure the bundled base on held-out pieces.

    python -m recipes.nano.evaluate --work DIR --base heartmula_studio/assets/nano

Prints the log-mel distance of tokens → audio, how closely it follows bands and notes, the share of each codebook in
use, and the language model's loss beside the entropy of single tokens (the unigram baseline).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.quality import log_mel_distance
from heartmula_studio.dataset.batch import make_example
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.finetune.evaluate import MeanLoss, mean_loss
from recipes.nano.likeness import band_likeness, note_likeness
from recipes.nano.manifest import held_out

EXCERPT_SEC = 29.76
WINDOW_FRAMES = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    arguments = parser.parse_args()
    base = find_base(arguments.base)
    codec = Codec.load(base)
    records = held_out(arguments.work)
    excerpts = [read_excerpt(arguments.work / record["file"]) for record in records]
    codes = [codec.encode_file(arguments.work / record["file"]).codes for record in records]
    print(json.dumps({"pieces": len(records), **codec_figures(codec, excerpts, codes)}), flush=True)
    pairs = [(record["tags"], code) for record, code in zip(records, codes, strict=True) if record["lm"]]
    print(json.dumps(model_figures(base, pairs, codec.heartcodec.config.codebook_size)))


def read_excerpt(path: Path) -> Tensor:
    """The first window of a piece, [2, T]."""
    rate = soundfile.info(path).samplerate
    samples, _ = soundfile.read(path, frames=round(EXCERPT_SEC * rate), dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy())


@torch.no_grad()
def codec_figures(codec: Codec, excerpts: list[Tensor], codes: list[Tensor]) -> dict:
    config, rate = codec.heartcodec.config, codec.sample_rate_hz
    frame = config.samples_per_frame
    distances, bands, notes = [], [], []
    for excerpt, code in zip(excerpts, codes, strict=True):
        whole = excerpt[:, : excerpt.shape[1] // frame * frame]
        heard = torch.cat(list(codec.decode(code[:, : whole.shape[1] // frame])), dim=1)
        distances.append(log_mel_distance(heard, whole, rate))
        bands.append(band_likeness(heard, whole))
        notes.append(note_likeness(heard, whole))
    everything = torch.cat(codes, dim=1)
    return {
        "tokens_log_mel": mean(distances),
        "bands_followed": mean(bands),
        "notes_followed": mean(notes),
        "codebook_use": [round(level.unique().numel() / config.codebook_size, 3) for level in everything],
    }


def model_figures(base, pairs: list[tuple[Sequence[str], Tensor]], codebook_size: int) -> dict:
    """Losses per codebook in nats: the model's, and that of drawing each token from its overall frequency."""
    model, layout = load_heartmula(base.model), PromptLayout.load(base)
    examples = [
        make_example(layout.build(tags, ""), part.long(), layout.special, ends_song=False)
        for tags, codes in pairs
        for part in codes.split(WINDOW_FRAMES, dim=1)
        if part.shape[1] == WINDOW_FRAMES
    ]
    loss = mean_loss(model, examples, 4, model.config.audio_num_codebooks)
    everything = torch.cat([codes for _, codes in pairs], dim=1).long()
    unigram = [unigram_entropy(level, codebook_size) for level in everything]
    return {"model": rounded(loss), "unigram": [round(value, 3) for value in unigram]}


def unigram_entropy(codes: Tensor, size: int) -> float:
    shares = torch.bincount(codes, minlength=size).float() / codes.numel()
    return -(shares * shares.clamp_min(1e-12).log()).sum().item()


def rounded(loss: MeanLoss) -> list[float]:
    return [round(value, 3) for value in loss.per_codebook]


def mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4)


if __name__ == "__main__":
    main()
