"""Estimates of trainings, before they are started."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.training.parent import with_parent
from heartmula_studio.services.training.placement import PLACEMENT
from heartmula_studio.services.zero_gpu import refuse_training
from heartmula_studio.store.records import Method
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Estimate, Preset

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.finetune.config import TrainConfig
    from heartmula_studio.generate.runtime import Runtime

OF_A_PRESET = ("epochs", "max_steps", "lora_rank", "lora_alpha")


class PlanningService:
    """Any thread may call any method."""

    def __init__(self, store: Store, runtime: "Lazy[Runtime]", accelerate_config: Path | None):
        self._store, self._runtime, self._accelerate_config = store, runtime, accelerate_config

    def estimate(self, dataset_id: str, method: Method = "lora", **settings: Any) -> Estimate:
        """Say what `JobQueue.start` would start: steps, time, memory and disk, and what stands in its way.

        Nothing is started; its placement does not matter. Raises as `JobQueue.start`, but counts too few songs
        among the problems.
        """
        from heartmula_studio.services.planning.presets import advice_on

        config, estimate_of = self._plan(dataset_id, method, settings)
        found = estimate_of(config)
        return replace(found, advice=advice_on(found, config, self._runtime.get().training_record, estimate_of))

    def presets(self, dataset_id: str, method: Method = "lora", **settings: Any) -> tuple[Preset, ...]:
        """Fast, Balanced and Thorough for a dataset, with `settings` as of `estimate` but for epochs and rank.

        Raises as `estimate`.
        """
        from heartmula_studio.services.planning.presets import presets_of

        settings = {name: value for name, value in settings.items() if name not in OF_A_PRESET}
        config, estimate_of = self._plan(dataset_id, method, settings)
        return presets_of(config, self._runtime.get().training_record, estimate_of)

    def _plan(
        self, dataset_id: str, method: Method, settings: Mapping[str, Any]
    ) -> tuple["TrainConfig", Callable[["TrainConfig"], Estimate]]:
        """The settings of a training, and what estimates the same with others."""
        from heartmula_studio.services.planning.estimate import Estimator

        refuse_training()
        settings = {name: value for name, value in settings.items() if name not in PLACEMENT}
        dataset, runtime = self._store.datasets.get(dataset_id), self._runtime.get()
        config = runtime.train_config(method, with_parent(self._store, runtime, method, settings))
        estimator = Estimator(self._store, runtime, self._accelerate_config)
        return config, lambda config: estimator.estimate(dataset, config)
