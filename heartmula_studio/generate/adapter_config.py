"""The settings of an adapter in PEFT's format, without PEFT: a stranger's file decides nothing but numbers here.

What cannot change a song is passed over, what would is refused by name, and what is unknown is either refused or said.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from heartmula_studio.arch.stored_weights import unwrapped
from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.adapter_kinds import PeftType
from heartmula_studio.generate.layer_patterns import LayerIndices, LayerNames, LayerValues, UnboundedPatternError

CONFIG_FILE = "adapter_config.json"
COPY_HINT = "Copy the whole checkpoint folder again."
PLAIN_HINT = "Plain LoRA, rsLoRA, DoRA, LoHa and LoKr adapters on linear layers can be applied."
CONVERT_HINT = f"{PLAIN_HINT} PEFT makes one of it: save_pretrained(…, path_initial_model_for_weight_conversion=…)."

MAX_NUMBER = 1e30
ALL_LAYERS = "all-linear"
BASE_KEEPING_INITS = ("gaussian", "orthogonal", "eva", "mica")
PLAIN_BIASES = ("none", "lora_only")
IGNORED_SETTINGS = {
    *("base_model_name_or_path", "revision", "task_type", "auto_mapping", "peft_version", "inference_mode"),
    *("runtime_config", "fan_in_fan_out", "megatron_core", "qalora_group_size", "ensure_weight_tying"),
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config"),  # of the initialisation, which counts alone
}
"""Settings that do not change what trained weights do to linear layers."""

LYCORIS_SETTINGS = {
    *("rank_dropout", "rank_dropout_scale", "module_dropout", "use_effective_conv2d", "init_weights"),
    *("decompose_both", "decompose_factor"),
}
"""Settings of LoHa and LoKr that do not change what trained weights do to linear layers: the tensors tell the rest."""

HEAD_PARAMETERS = ("audio_head", "audio_head.weight")
ABSENT_SETTINGS = {
    *("modules_to_save", "layer_replication", "trainable_token_indices", "lora_bias"),
    *("megatron_config", "use_qalora", "alora_invocation_tokens", "use_bdlora"),
    *("arrow_config", "kasa_config", "velora_config", "monteclora_config"),
}
"""Settings that make it more than LoRA on linear layers wherever they are set."""


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_rank(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_NUMBER


def is_scale(value: object) -> bool:
    return is_number(value) and value != 0


def is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)


def is_names(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, list) and all(type(v) is str for v in value))


def is_indices(value: object) -> bool:
    return value is None or type(value) is int or (isinstance(value, list) and all(type(v) is int for v in value))


def is_mapping_to(is_value: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or (isinstance(value, dict) and all(map(is_value, value.values())))


ALLOWED_VALUES: dict[str, tuple[Callable[[object], bool], str]] = {
    "r": (is_rank, "a whole number from 1"),
    "lora_alpha": (is_scale, "a number other than 0"),
    "alpha": (is_scale, "a number other than 0"),
    "rank_pattern": (is_mapping_to(is_rank), "an object of whole numbers from 1"),
    "alpha_pattern": (is_mapping_to(is_scale), "an object of numbers other than 0"),
    "lora_dropout": (is_number, "a number"),
    "use_rslora": (is_flag, "true or false"),
    "use_dora": (is_flag, "true or false"),
    "target_modules": (is_names, "a name or a list of names"),
    "exclude_modules": (is_names, "a name or a list of names"),
    "target_parameters": (is_names, "a name or a list of names"),
    "layers_pattern": (is_names, "a name or a list of names"),
    "layers_to_transform": (is_indices, "a whole number or a list of these"),
}
KNOWN_SETTINGS = {
    *("peft_type", "bias", "init_lora_weights", "target_parameters"),
    *(*ALLOWED_VALUES, *IGNORED_SETTINGS, *ABSENT_SETTINGS),
}


@dataclass(frozen=True)
class AdapterConfig:
    """What an adapter's settings say of its layers. `warnings` are sentences on what was passed over."""

    peft_type: PeftType
    ranks: LayerValues[int]
    alphas: LayerValues[float]
    default_rank: int
    default_alpha: float
    uses_rslora: bool
    uses_dora: bool
    trains_biases: bool
    adapts_head: bool
    targets: LayerNames | None  # None where only the tensors tell
    excluded: LayerNames | None
    indices: LayerIndices | None
    warnings: tuple[str, ...]

    def rank_of(self, layer: str) -> int:
        return self.ranks.get(layer, self.default_rank)

    def scale_of(self, layer: str) -> float:
        """The factor of a layer's low-rank product at a strength of 1."""
        rank = self.rank_of(layer)
        return self.alphas.get(layer, self.default_alpha) / (math.sqrt(rank) if self.uses_rslora else rank)

    def targets_layer(self, layer: str) -> bool | None:
        """Whether a linear layer of this name is adapted; None where the settings leave that to the tensors."""
        if self.excluded and layer in self.excluded:
            return False
        if self.targets is None:
            return None
        if self.indices and not self.targets.is_spelt_out(layer) and layer not in self.indices:
            return False
        return layer in self.targets


def read_adapter_config(path: Path) -> AdapterConfig:
    """Read the settings of an adapter.

    Raises CheckpointMissingError, CheckpointCorruptError for a value that cannot be applied, or CheckpointMismatchError
    for an adapter that is not plain LoRA.
    """
    return parse_adapter_config(
        read_json_object(path, f"An adapter folder holds {CONFIG_FILE} and the weights beside it."), path
    )


def parse_adapter_config(values: Mapping[str, Any], path: Path) -> AdapterConfig:
    """Do as `read_adapter_config` with settings that came from `path`."""
    if values.get("peft_type") not in get_args(PeftType):
        raise not_plain(path, f"the peft_type {values.get('peft_type')!r:.40}")
    require_allowed(values, path)
    warnings = refuse_special(values, path)
    try:
        return _parse(values, warnings)
    except ValueError as error:
        raise wrong_setting(path, f"a pattern for layers is {error}") from error


def _parse(values: Mapping[str, Any], warnings: list[str]) -> AdapterConfig:
    indices = _listed(values, "layers_to_transform")
    is_lora = values["peft_type"] == "LORA"
    return AdapterConfig(
        peft_type=values["peft_type"],
        ranks=LayerValues(_by_layer(values, "rank_pattern")),
        alphas=LayerValues(_by_layer(values, "alpha_pattern")),
        default_rank=values.get("r", 8),
        default_alpha=values.get("lora_alpha" if is_lora else "alpha", 8),
        uses_rslora=is_lora and bool(values.get("use_rslora")),
        uses_dora=is_lora and bool(values.get("use_dora")),
        trains_biases=values.get("bias") == "lora_only",
        adapts_head=bool(values.get("target_parameters")),
        targets=_layer_names(values, "target_modules", warnings),
        excluded=_layer_names(values, "exclude_modules", warnings),
        indices=LayerIndices(indices, _listed(values, "layers_pattern")) if indices else None,
        warnings=tuple(warnings),
    )


def _layer_names(values: Mapping[str, Any], setting: str, warnings: list[str]) -> LayerNames | None:
    given = values.get(setting)
    if not given or (isinstance(given, str) and given.lower() == ALL_LAYERS):
        return None
    try:
        return LayerNames(unwrapped(given) if isinstance(given, str) else [unwrapped(name) for name in given])
    except UnboundedPatternError:
        warnings.append(f"{setting} is a regular expression that is not compared; the tensors tell the layers.")
        return None


def _by_layer(values: Mapping[str, Any], setting: str) -> dict[str, Any]:
    return {unwrapped(layer): value for layer, value in (values.get(setting) or {}).items()}


def _listed(values: Mapping[str, Any], setting: str) -> list[Any]:
    """One value is a list of one; none, and an empty name, are no value."""
    given = values.get(setting)
    return given if isinstance(given, list) else [] if given in (None, "") else [given]


def require_allowed(values: Mapping[str, Any], path: Path) -> None:
    for name, (is_allowed, allowed) in ALLOWED_VALUES.items():
        if name in values and not is_allowed(values[name]):
            raise wrong_setting(path, f"{name} is {values[name]!r:.80}; it can be {allowed}")


def refuse_special(values: Mapping[str, Any], path: Path) -> list[str]:
    """Refuse what is not plain LoRA; return what is to be said of settings that are passed over unknown.

    A newer PEFT writes all its settings. Those that are off, or numbers that only qualify another, change nothing.
    """
    known = KNOWN_SETTINGS if values["peft_type"] == "LORA" else KNOWN_SETTINGS | LYCORIS_SETTINGS
    unknown = sorted(values.keys() - known)
    off = [name for name in unknown if not values[name] or is_number(values[name])]
    special = sorted(name for name in ABSENT_SETTINGS if values.get(name)) + [
        name for name in unknown if name not in off
    ]
    if set(values.get("target_parameters") or ()).difference(HEAD_PARAMETERS):
        special.append("target_parameters")
    if special:
        raise not_plain(path, ", ".join(f"{name:.60}" for name in special[:10]))
    if (bias := values.get("bias") or "none") not in PLAIN_BIASES:
        raise not_plain(path, f"bias {bias!r:.40}")
    refuse_rewritten_base(values.get("init_lora_weights", True), path)
    named = ", ".join(f"{name:.60}" for name in off[:10])
    return [f"{CONFIG_FILE} holds settings of a newer PEFT, which are passed over: {named}."] if off else []


def refuse_rewritten_base(init: object, path: Path) -> None:
    """PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA take from the base's weights what they start the adapter with."""
    if init in (None, True, False) or (isinstance(init, str) and init.lower() in BASE_KEEPING_INITS):
        return
    raise CheckpointMismatchError(
        f"{path} says init_lora_weights {init!r:.40}: training began by rewriting the base's own weights, so the "
        "adapter is wrong on the base as it is.",
        CONVERT_HINT,
    )


def not_plain(path: Path, what: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(f"{path} uses {what}, which cannot be applied here.", PLAIN_HINT)


def wrong_setting(path: Path, reason: str) -> CheckpointCorruptError:
    return CheckpointCorruptError(f"{path} holds a setting that cannot be applied: {reason}.", COPY_HINT)
