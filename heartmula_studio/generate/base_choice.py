"""Which base model is used where nobody names one, and why."""

from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.device_name import AUTO, is_gpu
from heartmula_studio.errors import CheckpointError
from heartmula_studio.settings import BUNDLED_BASE, Settings

MEMORY_FOR_3B_BYTES = 12 * 10**9


@dataclass(frozen=True)
class BaseChoice:
    """`name` is `nano` or an absolute folder; `reason` is for people."""

    name: str
    reason: str


def choose_base(asked: str, settings: Settings, device: str) -> BaseChoice:
    """Return the base asked for; for `auto` the official one where it is there and the GPU can hold it, else nano.

    A folder that the settings name is taken as it is, so that what it lacks is told when it is opened. PyTorch is
    loaded where the choice takes a look at an official model or a GPU.
    """
    if asked != AUTO:
        name = asked if asked == BUNDLED_BASE else str(Path(asked).resolve())
        return BaseChoice(name, "It was asked for, by HEARTMULA_BASE_MODEL or --base.")
    if settings.checkpoints_dir is None and not is_whole(settings.official_dir):
        return BaseChoice(BUNDLED_BASE, "It is bundled; the official model has not been downloaded.")
    if not can_hold_3b(device):
        return BaseChoice(
            BUNDLED_BASE,
            f"It runs anywhere; the official model wants a GPU with 12 GB, and the device is {device}. "
            "With HEARTMULA_BASE_MODEL set to its folder it is taken all the same.",
        )
    return BaseChoice(str(settings.official_dir.resolve()), f"The official model is there, and {device} can hold it.")


def is_whole(folder: Path) -> bool:
    """Whether all parts are there that songs need."""
    if not folder.is_dir():
        return False
    from heartmula_studio.arch.checkpoints import find_base

    try:
        find_base(folder)
    except CheckpointError:
        return False
    return True


def can_hold_3b(device: str) -> bool:
    if not is_gpu(device):
        return False
    from heartmula_studio.arch.device import total_bytes

    return total_bytes(device) >= MEMORY_FOR_3B_BYTES
