"""The checkpoint that a run starts from, and the settings that follow it."""

import re
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
from heartmula_studio.finetune.layer_values import as_text

ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG = "adapter_config.json", "adapter_model.safetensors", "config.json"
HEAD = "audio_head"
KINDS = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}
PREFIX = "base_model.model."
COPY_HINT = "Copy the whole checkpoint folder again."
FROM_BASE_HINT = "Train from the base model, without start_from."


_MARKS = re.compile(r"\.(?:lora|hada|lokr)_")
_NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True)
class Parent:
    """A checkpoint to train further. `base_fingerprint` is None for one made elsewhere, which its shapes must tell."""

    id: ParentId
    method: Method
    base_fingerprint: str | None
    trigger_word: str

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
            str(meta.get("trigger_word", "")),
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
    return {"trigger_word": parent.trigger_word} | asked | inherited


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
    config, kinds, has_head = read_json_object(folder / ADAPTER_CONFIG, COPY_HINT), *adapted_kinds(folder)
    if (kind := KINDS.get(str(config.get("peft_type")))) is None:
        raise _not_trainable(folder, f"it is {config.get('peft_type')!r:.40}")
    return {
        "lora_kind": kind,
        "lora_rank": config.get("r"),
        "lora_alpha": float(config.get("lora_alpha" if kind == "lora" else "alpha") or 0),
        "lora_target_modules": kinds,
        "lora_use_rslora": bool(config.get("use_rslora")),
        "lora_use_dora": bool(config.get("use_dora")),
        "lora_rank_pattern": _pattern(folder, config.get("rank_pattern")),
        "lora_alpha_pattern": _pattern(folder, config.get("alpha_pattern")),
        "lora_audio_head": has_head,
    }


def adapted_kinds(folder: Path) -> tuple[list[str], bool]:
    """Return the kinds of linear layers ("q_proj") that an adapter's tensors change, in the order of the network; and
    whether they change `audio_head`.
    """
    with TensorFile(folder / ADAPTER_WEIGHTS) as file:
        layers = {_MARKS.split(name.removeprefix(PREFIX))[0] for name in file.shapes}
    kinds = {layer.rpartition(".")[2] for layer in layers}
    if strange := sorted(kinds.difference(TRANSFORMER_LINEARS, [HEAD])):
        raise _not_trainable(folder, f"it changes {strange[0]:.80}")
    return [kind for kind in TRANSFORMER_LINEARS if kind in kinds], HEAD in kinds


def _pattern(folder: Path, values: Any) -> str:
    if not isinstance(values, dict | None):
        raise _not_trainable(folder, "its patterns are damaged")
    if strange := [layer for layer in values or {} if not _NAME.fullmatch(layer)]:
        raise _not_trainable(folder, f"its pattern {strange[0]:.80} is an expression")
    return as_text(values or {})


def _is_same(asked: Any, value: Any) -> bool:
    return sorted(asked) == sorted(value) if isinstance(value, list) else asked == value


def _not_trainable(folder: Path, why: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(f"The style in {folder} cannot be trained further: {why}.", FROM_BASE_HINT)
