"""A fully tuned model in place of the base: its weights are copied into the same tensors, so that memory never
holds two models. Going back reads the base from disk again, which can fail; the model remembers that it owes it.
"""

from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import open_heartmula, read_heartmula_config
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.finite import require_finite


def check_full(folder: Path, base: BaseModel) -> None:
    """Check a full checkpoint against the base's sizes, without loading it.

    Raises CheckpointMissingError, CheckpointCorruptError, or CheckpointMismatchError naming the file.
    """
    if read_heartmula_config(folder) != base.config:
        raise CheckpointMismatchError(
            f"The sizes in {folder / 'config.json'} are not those of this base.",
            "Load the base model it was trained from, or train the style again on this one.",
        )
    open_heartmula(folder).require_fit()


@torch.no_grad()
def copy_weights(model: HeartMuLa, folder: Path) -> int:
    """Overwrite the model's tensors, one at a time, by those in `folder`; return how many differed.

    The folder has passed `check_full`. Raises CheckpointCorruptError, leaving the model half overwritten,
    where a tensor holds values that are not numbers.
    """
    parameters, changed = dict(model.named_parameters()), 0
    stored = open_heartmula(folder)
    for name, new in stored.read(model.device, model.dtype):
        require_finite(new, stored.tensors[name].path, name)
        changed += not torch.equal(parameters[name], new)
        parameters[name].copy_(new)
    return changed


def check_full_values(folder: Path) -> None:
    """Read all values of a full checkpoint once, on the CPU. Raises CheckpointCorruptError as `copy_weights`."""
    stored = open_heartmula(folder)
    for name, tensor in stored.read("cpu", torch.bfloat16):
        require_finite(tensor, stored.tensors[name].path, name)


class FullWeights:
    """The tensors of `model`, which hold the weights of `base_folder` until a full checkpoint overwrites them."""

    def __init__(self, model: HeartMuLa, base_folder: Path, base: BaseModel):
        self._model, self._base_folder, self._base = model, base_folder, base
        self._holds_base = True

    def overwrite(self, folder: Path) -> int:
        """Copy a checked full checkpoint over the base; return the number of tensors that differ from it.

        Raises CheckpointError; `restore` is then due.
        """
        self._holds_base = False
        return copy_weights(self._model, folder)

    def restore(self) -> None:
        """Read the base back from disk, unless the model holds it already.

        Raises CheckpointError where the base is gone, damaged or another one by now; the next call tries again.
        """
        if self._holds_base:
            return
        check_full(self._base_folder, self._base)
        if fingerprint(self._base_folder) != self._base.fingerprint:
            raise CheckpointMismatchError(
                f"The base model in {self._base_folder} is not the one that was loaded: its files have changed.",
                "Put the files back as they were, or start again to load the base as it is now.",
            )
        copy_weights(self._model, self._base_folder)
        self._holds_base = True
