"""How loud tones and noises are in a piece, kept in DIR/levels/; and the same in another key or tempo."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from heartmula_studio.arch.frames import samples_per_window
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME, tone_levels
from heartmula_studio.files.atomic import replaced_file
from recipes.nano.audio import read_stereo
from recipes.nano.sizes import CODEC, TONES


@torch.no_grad()
def levels_of(record: dict, work: Path) -> Tensor:
    """Levels of both channels together, of whole frames: [num_levels, LEVELS_PER_FRAME · frames]."""
    path = work / "levels" / f"{record['id']}.pt"
    if not path.is_file():
        sound = read_stereo(work / record["file"])
        whole = sound[:, : sound.shape[1] // CODEC.samples_per_frame * CODEC.samples_per_frame]
        blocks = whole.split(samples_per_window(TONES.sample_rate), dim=1)
        levels = torch.cat([tone_levels(block, TONES).square().mean(0).sqrt() for block in blocks], dim=-1)
        path.parent.mkdir(exist_ok=True)
        with replaced_file(path) as temporary:
            torch.save(levels.half(), temporary)
    return torch.load(path, weights_only=True).float()


def transposed(levels: Tensor, semitones: int) -> Tensor:
    """Move every tone [num_levels, L]; those that come in at an end are as loud as the last one there."""
    from_tone = (torch.arange(TONES.num_tones) - semitones).clamp(0, TONES.num_tones - 1)
    return torch.cat((levels[from_tone], levels[TONES.num_tones :]))


def at_speed(levels: Tensor, speed: float) -> Tensor:
    """Play [num_levels, L] `speed` times as fast in the same key, in whole frames."""
    num_frames = round(levels.shape[1] / speed / LEVELS_PER_FRAME)
    return F.interpolate(levels[None], num_frames * LEVELS_PER_FRAME, mode="linear", align_corners=True)[0]
