"""Training settings by flat names, as people type them: `epochs`, `lora_rank`, …"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig, current_names

LORA_NAMES = {f"lora_{field.name}": field.name for field in dataclasses.fields(LoraSettings)}
NOT_FREE = ("base_model", "dataset", "method", "lora")  # decided by the installation, or elsewhere
FREE_NAMES = tuple(
    sorted({field.name for field in dataclasses.fields(TrainConfig)} - set(NOT_FREE) | LORA_NAMES.keys())
)


def with_settings(config: TrainConfig, settings: Mapping[str, Any], method: str | None = None) -> TrainConfig:
    """Change what is given, None aside. Another `lora_rank` alone brings `lora_alpha` to twice its value.

    Raises InvalidInputError for an unknown name or a value outside what is allowed.
    """
    given = current_names({name: value for name, value in settings.items() if value is not None})
    if unknown := sorted(given.keys() - set(FREE_NAMES)):
        raise InvalidInputError(f"Unknown settings: {', '.join(unknown)}.", f"Allowed: {', '.join(FREE_NAMES)}.")
    lora = {LORA_NAMES[name]: given.pop(name) for name in LORA_NAMES if name in given}
    if isinstance(lora.get("rank"), int) and lora["rank"] != config.lora.rank:
        lora.setdefault("alpha", 2.0 * lora["rank"])
    values = config.to_dict()
    return TrainConfig.from_dict(values | given | {"lora": values["lora"] | lora, "method": method or config.method})
