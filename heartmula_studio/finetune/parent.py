"""The checkpoint that a run starts from, and the settings that follow it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartmula_studio.errors import CheckpointMismatchError, CheckpointMissingError, InvalidInputError
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.files.safetensors_reader import TensorFile
from heartmula_studio.finetune.checkpoint_meta import META_FILE, ParentId
from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, Method

ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG = "adapter_config.json", "adapter_model.safetensors", "config.json"
PREFIX = "base_model.model."
COPY_HINT = "Copy the whole checkpoint folder again."
FROM_BASE_HINT = "Train from the base model, without start_from."


@dataclass(frozen=True)
class Parent:
    """A checkpoint to train further. `base_fingerprint` is None for one made elsewhere, which its shapes must tell."""

    id: ParentId
    method: Method
    base_fingerprint: str | None

    @classmethod
    def read(cls, folder: Path) -> "Parent":
        """Read who a checkpoint is. Raises CheckpointMissingError and CheckpointCorruptError."""
        if not folder.is_dir():
            raise CheckpointMissingError(f"There is no checkpoint folder {folder}.", "Give the folder of a style.")
        is_full = not (folder / ADAPTER_CONFIG).is_file() and (folder / MODEL_CONFIG).is_file()
        has_meta = (folder / META_FILE).is_file()
        meta = read_json_object(folder / META_FILE, COPY_HINT) if has_meta else {}
        base, id = meta.get("base_model"), str(meta.get("id", folder.name))
        return cls(
            ParentId(id, str(meta.get("name", id))),
            "full" if is_full else "lora",
            base.get("fingerprint") if isinstance(base, dict) else None,
        )


def follow_parent(folder: Path, model: Path, method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings `given` by flat names with those that must be the parent's.

    model: the folder of the base's language model.
    Raises CheckpointMismatchError for a parent of another base or one that cannot be trained, InvalidInputError where
    something else than the parent's was asked for; and as `Parent.read`.
    """
    parent = Parent.read(folder)
    require_same_base(parent, model)
    if parent.method != method:
        raise InvalidInputError(
            f"{parent.id.name} was trained with method {parent.method}, and {method} was asked for.",
            f"Give method {parent.method}, or train from the base model.",
        )
    inherited = {} if parent.method == "full" else adapter_settings(folder)
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in inherited.items():
        if name in asked and not _is_same(asked[name], value):
            raise InvalidInputError(
                f"{name} is {asked[name]!r}, but the style {parent.id.name} that training starts from has {value!r}.",
                f"Leave out {name}, or train from the base model.",
            )
    return asked | inherited


def require_same_base(parent: Parent, model: Path) -> None:
    """Raise CheckpointMismatchError for a checkpoint that is known to be of another base."""
    if parent.base_fingerprint not in (None, current := fingerprint(model)):
        raise CheckpointMismatchError(
            f"{parent.id.name} was trained on another base, fingerprint {parent.base_fingerprint}; this one has "
            f"{current}.",
            "Train it further on the base model it was trained on.",
        )


def adapter_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of an adapter's kind, size and layers by flat names.

    Raises CheckpointMismatchError for one that training here cannot continue.
    """
    config = read_json_object(folder / ADAPTER_CONFIG, COPY_HINT)
    if config.get("peft_type") != "LORA" or config.get("rank_pattern") or config.get("alpha_pattern"):
        raise _not_trainable(folder, f"its kind, {config.get('peft_type')!r:.40} with patterns, is not trained here")
    return {
        "lora_rank": config.get("r"),
        "lora_alpha": float(config.get("lora_alpha") or 0),
        "lora_target_modules": adapted_kinds(folder),
        "lora_use_rslora": bool(config.get("use_rslora")),
        "lora_use_dora": bool(config.get("use_dora")),
    }


def adapted_kinds(folder: Path) -> list[str]:
    """Return the kinds of linear layers ("q_proj") that an adapter's tensors change, in the order of the network."""
    with TensorFile(folder / ADAPTER_WEIGHTS) as file:
        layers = {name.removeprefix(PREFIX).partition(".lora_")[0] for name in file.shapes}
    kinds = {layer.rpartition(".")[2] for layer in layers}
    if strange := sorted(kinds.difference(TRANSFORMER_LINEARS)):
        raise _not_trainable(folder, f"it changes {strange[0]:.80}")
    return [kind for kind in TRANSFORMER_LINEARS if kind in kinds]


def _is_same(asked: Any, value: Any) -> bool:
    return sorted(asked) == sorted(value) if isinstance(value, list) else asked == value


def _not_trainable(folder: Path, why: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(f"The style in {folder} cannot be trained further: {why}.", FROM_BASE_HINT)
