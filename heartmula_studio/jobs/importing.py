"""A trained style made elsewhere, on its way into the store."""

import json
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.generate.full_weights import describe_base
from heartmula_studio.generate.style import check_style
from heartmula_studio.store.archives import META, unpack
from heartmula_studio.store.names import checked_name, checked_tags
from heartmula_studio.store.records import Checkpoint, utc_now
from heartmula_studio.store.store import Store


def import_checkpoint(store: Store, base: BaseFolder, archive: Path, name: str, styles: tuple[str, ...]) -> Checkpoint:
    """Unpack a zip with a LoRA in PEFT's format, or a full checkpoint, and keep it if it fits the base.

    Raises InvalidInputError for the name or styles; CheckpointError where it is damaged, pickled or of another base;
    UploadTooLargeError; StorageError.
    """
    name, styles = checked_name(name, "checkpoint"), checked_tags(styles, "styles")
    with store.scratch() as folder:
        unpacked = unpack(archive, folder)
        (folder / META).write_text(json.dumps({"base_model": unpacked.base_model}), encoding="utf-8")
        check_style(folder, describe_base(base))
        record = Checkpoint(
            id=store.checkpoints.new_id(),
            name=name,
            styles=styles,
            method=unpacked.method,
            base_model=unpacked.base_model,
            dataset_id=None,
            job_id=None,
            size_bytes=0,
            created_at=utc_now(),
        )
        return store.checkpoints.publish(folder, record)
