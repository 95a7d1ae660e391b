"""Training settings by flat names, as people type them: `epochs`, `lora_rank`, …"""

from collections.abc import Mapping
from typing import Any

from heartmula_studio.definition import settings_of
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import LoraSettings, Method, TrainConfig, current_names

LORA_PREFIX = "lora_"
NOT_FREE = ("base_model", "dataset", "method", "lora")  # decided by the installation, or elsewhere
LORA = settings_of(LoraSettings, LORA_PREFIX)
FREE = {name: setting for name, setting in settings_of(TrainConfig).items() if name not in NOT_FREE} | LORA
# Defaults that `Runtime.train_config` fits to method, base and device.
FITTED = (
    "learning_rate_factor",
    "draws_per_epoch",
    "track_versions",
    "min_window_sec",
    "max_window_sec",
    "batch_size",
    "prior_fraction",
    "context_noise",
    "mixed_precision",
    "base_dtype",
    "gradient_checkpointing",
    "preview_songs",
)


def with_settings(config: TrainConfig, settings: Mapping[str, Any], method: Method | None = None) -> TrainConfig:
    """Change what is given, None aside. Another `lora_rank` alone brings `lora_alpha` to twice its value.

    Raises InvalidInputError for an unknown name or a value outside what is allowed.
    """
    given = current_names({name: value for name, value in settings.items() if value is not None})
    if unknown := sorted(given.keys() - FREE.keys()):
        raise InvalidInputError(f"Unknown settings: {', '.join(unknown)}.", f"Allowed: {', '.join(sorted(FREE))}.")
    lora = {name.removeprefix(LORA_PREFIX): given.pop(name) for name in LORA if name in given}
    if isinstance(lora.get("rank"), int) and lora["rank"] != config.lora.rank:
        lora.setdefault("alpha", 2.0 * lora["rank"])
    values = config.to_dict()
    return TrainConfig.from_dict(values | given | {"lora": values["lora"] | lora, "method": method or config.method})
