"""Estimates of trainings, before they are started."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.training.parent import with_parent
from heartmula_studio.services.zero_gpu import refuse_training
from heartmula_studio.store.records import Method
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Estimate

if TYPE_CHECKING:  # it brings torch
    from heartmula_studio.generate.runtime import Runtime


class PlanningService:
    """Any thread may call any method."""

    def __init__(self, store: Store, runtime: "Lazy[Runtime]", accelerate_config: Path | None):
        self._store, self._runtime, self._accelerate_config = store, runtime, accelerate_config

    def default_learning_rate(self, method: Method) -> float:
        """That of a training here which is given none: it suits the method and the size of the base."""
        return self._runtime.get().train_config(method).learning_rate

    def estimate(self, dataset_id: str, method: Method = "lora", **settings: Any) -> Estimate:
        """Say what `JobQueue.start` would start: steps, time, memory and disk, and what stands in its way.

        Nothing is started. Raises as `JobQueue.start`, but counts too few songs among the problems.
        """
        from heartmula_studio.services.planning.estimate import Estimator

        refuse_training()
        dataset, runtime = self._store.datasets.get(dataset_id), self._runtime.get()
        settings = with_parent(self._store, runtime, method, settings)
        estimator = Estimator(self._store, runtime, self._accelerate_config)
        return estimator.estimate(dataset, runtime.train_config(method, settings))
