"""The settings of one training run: nested frozen dataclasses, mirrored by one JSON file, checked when made.

Does not know networks, data or devices; only what a person may ask for.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from heartmula_studio.arch.checkpoints import BUNDLED_BASE
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.atomic import replaced_file

TRANSFORMER_LINEARS = ("q_proj", "k_proj", "v_proj", "output_proj", "w1", "w2", "w3")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BASE_DTYPES = DTYPES | {"nf4": torch.bfloat16}  # of what stays as it is beside linear layers in four bits
RENAMED = {"depth_share": "depth_frame_fraction"}  # settings by the names of earlier releases
TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    int | None: "a whole number or null",
    float: "a number",
    str: "text",
    tuple[str, ...]: "a list of names",
}


@dataclass(frozen=True)
class LoraSettings:
    """The adapter: which linear layers of both transformers it changes, and how.

    Raises InvalidInputError where a value is outside what is allowed.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] = TRANSFORMER_LINEARS
    use_rslora: bool = False
    use_dora: bool = False

    def __post_init__(self) -> None:
        _check_types(self, "lora.")
        _check_range("lora.rank", self.rank, 1, 256)
        _check_range("lora.alpha", self.alpha, 0.01, 4096)
        _check_range("lora.dropout", self.dropout, 0, 0.9)
        if not self.target_modules:
            raise InvalidInputError("lora.target_modules is empty.", f"Name some of {', '.join(TRANSFORMER_LINEARS)}.")
        for name in self.target_modules:
            _check_choice("lora.target_modules", name, TRANSFORMER_LINEARS)


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on. Relative paths start at the job folder.

    One optimizer step sees `batch_size` x `gradient_accumulation_steps` x processes windows.
    Raises InvalidInputError where a value is outside what is allowed.
    """

    base_model: str = BUNDLED_BASE
    dataset: str = "dataset"
    method: str = "lora"
    lora: LoraSettings = field(default_factory=LoraSettings)
    epochs: int = 4
    max_steps: int | None = None
    learning_rate: float = 1e-4  # suits the 3B; for others see `generate.runtime`
    schedule: str = "cosine"
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    batch_size: int = 1
    gradient_accumulation_steps: int = 1
    max_window_sec: float = 240.0
    conditioning_dropout: float = 0.1
    depth_frame_fraction: float = 1.0
    mixed_precision: str = "no"
    base_dtype: str = "float32"  # of the base in memory (nf4: four bits); an adapter itself is float32
    save_dtype: str = "float32"  # of a full checkpoint's weights, unless they are trained in fewer bits
    gradient_checkpointing: bool = False
    state_every_steps: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        _check_types(self)
        _check_choice("method", self.method, ("lora", "full"))
        _check_range("epochs", self.epochs, 1, 100_000)
        if self.max_steps is not None:
            _check_range("max_steps", self.max_steps, 1, 100_000_000)
        _check_range("learning_rate", self.learning_rate, 1e-9, 1.0)
        _check_choice("schedule", self.schedule, ("cosine", "constant"))
        _check_range("warmup_ratio", self.warmup_ratio, 0, 1)
        _check_range("weight_decay", self.weight_decay, 0, 1)
        _check_range("max_grad_norm", self.max_grad_norm, 1e-6, 1e6)
        _check_range("batch_size", self.batch_size, 1, 4096)
        _check_range("gradient_accumulation_steps", self.gradient_accumulation_steps, 1, 4096)
        _check_range("max_window_sec", self.max_window_sec, 1, 600)
        _check_range("conditioning_dropout", self.conditioning_dropout, 0, 1)
        _check_range("depth_frame_fraction", self.depth_frame_fraction, 0.001, 1)
        _check_choice("mixed_precision", self.mixed_precision, ("no", "bf16", "fp16"))
        _check_choice("base_dtype", self.base_dtype, BASE_DTYPES)
        _check_choice("save_dtype", self.save_dtype, DTYPES)
        _check_range("state_every_steps", self.state_every_steps, 1, 100_000_000)
        _check_range("seed", self.seed, 0, 2**31 - 1)
        if self.method == "full" and self.base_dtype == "nf4":
            raise InvalidInputError(
                "A full fine-tune cannot train weights in four bits.",
                'Use base_dtype "bfloat16" or "float32", or method "lora".',
            )
        if self.is_full_in_16_bits and self.mixed_precision == "fp16":
            raise InvalidInputError(
                "A full fine-tune of weights in bfloat16 cannot compute in fp16.",
                'Use mixed_precision "bf16" or "no", or base_dtype "float32".',
            )
        if self.lora.use_dora and self.base_dtype == "nf4":
            raise InvalidInputError(
                "base_dtype nf4 goes with plain LoRA: DoRA needs the base's weights as they are.",
                'Use base_dtype "bfloat16", or no DoRA.',
            )

    @property
    def is_full_in_16_bits(self) -> bool:
        """Whether all weights are trained, in bfloat16: with moments in 8 bits, and gradients outside the device."""
        return self.method == "full" and self.base_dtype == "bfloat16"

    @property
    def checkpoint_dtype(self) -> torch.dtype:
        """The type of a full checkpoint's weights: `save_dtype`, or that of the weights where it would add nothing."""
        return torch.bfloat16 if self.is_full_in_16_bits else DTYPES[self.save_dtype]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Take the settings in `values`, defaults elsewhere. Raises InvalidInputError where a name is unknown."""
        values = current_names(values)
        config = _build(cls, {name: value for name, value in values.items() if name != "lora"}, "config")
        return dataclasses.replace(config, lora=_build(LoraSettings, values.get("lora", {}), "lora"))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as in the JSON file: lists for tuples."""
        values = dataclasses.asdict(self)
        values["lora"]["target_modules"] = list(self.lora.target_modules)
        return values

    @classmethod
    def load(cls, path: Path) -> "TrainConfig":
        """Read a JSON file. Raises NotFoundError without the file, InvalidInputError where it is not such a config."""
        if not path.is_file():
            raise NotFoundError(f"There is no {path}.", "A job folder holds a config.json with its training settings.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInputError(
                f"{path} is not JSON: {error}.", "Write the training settings as one object."
            ) from error
        if not isinstance(values, dict):
            raise InvalidInputError(f"{path} holds {values!r}.", "It must hold one object of named settings.")
        return cls.from_dict(values)

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        with replaced_file(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names of this release. Raises InvalidInputError for one under both of its names."""
    for old, new in RENAMED.items():
        if old in values and new in values:
            raise InvalidInputError(f"{old} and {new} are the same setting.", f"Give {new} alone.")
    return {RENAMED.get(name, name): value for name, value in values.items()}


def _build(cls: type, values: Any, name: str) -> Any:
    if not isinstance(values, dict):
        raise InvalidInputError(f"{name} is {values!r}.", "It must be an object of named settings.")
    allowed = [f.name for f in dataclasses.fields(cls)]
    if unknown := [key for key in values if key not in allowed]:
        raise InvalidInputError(
            f"{name} has unknown settings: {', '.join(unknown)}.", f"Allowed: {', '.join(allowed)}."
        )
    # JSON has lists where the dataclasses have tuples.
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _check_types(settings: Any, prefix: str = "") -> None:
    for name, expected in typing.get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if not _is_instance(value, expected):
            wanted = TYPE_NAMES.get(expected, expected)
            raise InvalidInputError(f"{prefix}{name} is {value!r}.", f"It must be {wanted}.")


def _is_instance(value: Any, expected: Any) -> bool:
    if isinstance(expected, types.UnionType):
        return any(_is_instance(value, option) for option in typing.get_args(expected))
    if typing.get_origin(expected) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if isinstance(value, bool):  # bool is an int in Python; here it is not a number
        return expected is bool
    return isinstance(value, (int, float) if expected is float else expected)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise InvalidInputError(f"{name} is {value}.", f"It must lie between {low:g} and {high:g}.")


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise InvalidInputError(f"{name} is {value!r}.", f"Allowed: {', '.join(choices)}.")
