"""A small band to sing with: four instruments that hold chords, and a small Demucs that tells it from `spoken.ogg`.

`python -m tests.separation.band`, which needs Demucs, makes that model, in the format of its repositories on the Hub.
"""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch

from tests.whisper.spoken import SPOKEN

SEPARATOR = Path(__file__).parent / "Demucs-spoken"
RATE_HZ, STEPS, BATCH, SEGMENT_SEC = 16_000, 2500, 4, 2
LOUDNESS = 0.02
SETTINGS = {
    "sources": ["band", "vocals"], "audio_channels": 1, "channels": 12, "growth": 2, "depth": 2, "nfft": 1024,
    "bottom_channels": 0, "t_layers": 0, "dconv_depth": 1, "samplerate": RATE_HZ,
}  # fmt: skip


def band(num_samples: int, seed: int) -> np.ndarray:
    """Play chords of one second each, float32 [samples] at 16 kHz."""
    random = np.random.default_rng(seed)
    time, played = np.arange(num_samples) / RATE_HZ, np.zeros(num_samples)
    for start in range(0, num_samples, RATE_HZ):
        beat = slice(start, start + RATE_HZ)
        for pitch in 110 * 2 ** (random.integers(0, 24, 4) / 12):
            turn = 2 * np.pi * (pitch * time[beat] + random.random())
            played[beat] += np.sin(turn) + 0.5 * np.sin(2 * turn)
    return (LOUDNESS * played).astype(np.float32)


def with_band(path: Path, seed: int = 0) -> Path:
    """Write the spoken lines together with the band."""
    voice, rate_hz = soundfile.read(SPOKEN, dtype="float32")
    assert rate_hz == RATE_HZ
    soundfile.write(path, 0.5 * (voice + band(len(voice), seed)), rate_hz)
    return path


def train() -> torch.nn.Module:
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    model = HTDemucs(**SETTINGS, segment=Fraction(SEGMENT_SEC))
    voice = torch.from_numpy(soundfile.read(SPOKEN, dtype="float32")[0])
    optimizer, length = torch.optim.Adam(model.parameters(), 3e-3), SEGMENT_SEC * RATE_HZ
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        starts = torch.randint(0, len(voice) - length, (BATCH,))
        vocals = torch.stack([voice[start : start + length] for start in starts])
        bands = torch.from_numpy(np.stack([band(length, 1 + BATCH * step + number) for number in range(BATCH)]))
        level = (vocals + bands).std()
        sources = torch.stack((bands, vocals), dim=1) / level
        loss = (model(sources.sum(dim=1, keepdim=True))[:, :, 0] - sources).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(step, f"{loss.item():.4f}", flush=True)
    return model


def save(model: torch.nn.Module, folder: Path) -> None:
    """Write a folder as the Hub has it: a list of networks, and each with its class and settings, in half precision."""
    from safetensors.torch import save_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "spoken.yaml").write_text("models: ['5b0ce5']\n")
    settings = {**SETTINGS, "segment": {"_type": "fraction", "numerator": SEGMENT_SEC, "denominator": 1}}
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(settings)}
    weights = {name: weight.half().contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "5b0ce5.safetensors", metadata)


if __name__ == "__main__":
    save(train(), SEPARATOR)
