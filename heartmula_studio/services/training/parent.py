"""The stored style that a training starts from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from heartmula_studio.store.records import Method
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # it brings torch
    from heartmula_studio.generate.runtime import Runtime


def with_parent(store: Store, runtime: "Runtime", method: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return training settings with those that follow the style that `start_from` names by its id, if it does.

    Raises NotFoundError, InvalidInputError where other settings than the style's were asked for, and CheckpointError
    where it is of another base or cannot be trained.
    """
    from heartmula_studio.finetune.parent import follow_parent
    from heartmula_studio.services.library.checkpoint_import import called

    if not (id := settings.get("start_from")):
        return dict(settings)
    folder = store.checkpoints.folder(id)
    with called(folder, store.checkpoints.get(id).name):
        return follow_parent(folder, runtime.base.model, method, settings)
