"""A fully tuned model in place of the base: its weights are copied into the same tensors, so that memory never
holds two models. Going back reads the base from disk again.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from heartmula_studio.arch.checkpoints import MODEL_REPO, check_shapes, read_config, weight_files
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.safetensors_reader import TensorFile
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError


def check_full(folder: Path, config: HeartMuLaConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Checks a full checkpoint against the base's config and parameter `shapes`, without loading it.

    Raises `CheckpointMissingError`, `CheckpointCorruptError`, or `CheckpointMismatchError` naming the file.
    """
    if HeartMuLaConfig.from_dict(read_config(folder, MODEL_REPO)) != config:
        raise CheckpointMismatchError(
            f"The sizes in {folder / 'config.json'} are not those of this base.",
            "Load the base model it was trained from, or train the style again on this one.",
        )
    found: set[str] = set()
    for path in weight_files(folder, MODEL_REPO):
        with TensorFile(path) as file:
            check_shapes(path, file.shapes, shapes)
            found.update(file.shapes)
    if missing := sorted(shapes.keys() - found):
        raise CheckpointMismatchError(
            f"{folder} lacks {len(missing)} of {len(shapes)} tensors, first {missing[0]}.",
            "Copy the whole checkpoint folder again.",
        )


@torch.no_grad()
def copy_weights(model: nn.Module, folder: Path) -> int:
    """Overwrites the model's tensors, one at a time, by those in `folder`; returns how many differed.

    The folder has passed `check_full`. Raises `CheckpointCorruptError`, leaving the model half overwritten,
    where a tensor holds values that are not numbers.
    """
    parameters, changed = dict(model.named_parameters()), 0
    for path in weight_files(folder, MODEL_REPO):
        with TensorFile(path) as file:
            for name in file.shapes:
                current = parameters[name]
                new = file.read(name, current.device, current.dtype)
                if not new.isfinite().all():
                    raise CheckpointCorruptError(
                        f"{path} holds values that are not numbers ({name}).",
                        "Its training diverged. Use another checkpoint, or train again with a lower learning rate.",
                    )
                changed += not torch.equal(current, new)
                current.copy_(new)
    return changed


class FullWeights:
    """The weights of a full checkpoint in `model`, which until then holds those of `base_folder`."""

    def __init__(self, model: HeartMuLa, folder: Path, base_folder: Path):
        self._model, self._base_folder = model, base_folder
        try:
            self.layers_changed = copy_weights(model, folder)
        except BaseException:
            self.detach()
            raise

    def set_strength(self, strength: float) -> None:
        """A full checkpoint is on or off."""
        assert strength == 1, strength

    def detach(self) -> None:
        """Reads the base back from disk."""
        copy_weights(self._model, self._base_folder)
