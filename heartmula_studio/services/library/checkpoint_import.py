"""A trained style made elsewhere, on its way into the store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import StudioError
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.style import check_fit, check_values
from heartmula_studio.store.archives import META, Unpacked, unpack
from heartmula_studio.store.names import checked_name, checked_tags, clean_line
from heartmula_studio.store.records import Checkpoint, utc_now
from heartmula_studio.store.store import Store


def import_checkpoint(
    store: Store, base: BaseFolder, archive: Path, filename: str, name: str, styles: tuple[str, ...]
) -> Checkpoint:
    """Unpack a zip with a LoRA in PEFT's format, or a full checkpoint, and keep it if it fits the base.

    All of its values are read once. Without `styles`, those that its meta.json tells are kept; errors speak of
    `filename`.
    Raises InvalidInputError for the name or styles; CheckpointError where it is damaged, pickled or of another base;
    UploadTooLargeError; StorageError.
    """
    name, styles = checked_name(name, "checkpoint"), checked_tags(styles, "styles")
    store.remove_abandoned()
    with store.scratch() as folder, called(folder, filename), called(archive, filename):
        unpacked = unpack(archive, folder)
        (folder / META).write_text(json.dumps({"base_model": unpacked.provenance.base_model}), encoding="utf-8")
        style = check_fit(folder, describe_base(base))
        check_values(style)
        record = _record(store.checkpoints.new_id(), name, styles, unpacked, style.warnings)
        return store.checkpoints.publish(folder, record)


@contextmanager
def called(path: Path, name: str) -> Iterator[None]:
    """Have errors speak of a file or folder of ours by the name that its owner knows."""
    try:
        yield
    except StudioError as error:
        shown = clean_line(name)
        raise type(error)(error.message.replace(str(path), shown), error.hint.replace(str(path), shown)) from error


def _record(id: str, name: str, styles: tuple[str, ...], unpacked: Unpacked, warnings: tuple[str, ...]) -> Checkpoint:
    provenance = unpacked.provenance
    return Checkpoint(
        id=id,
        name=name,
        styles=styles or provenance.styles,
        method=unpacked.method,
        base_model=provenance.base_model,
        dataset_id=None,
        job_id=None,
        size_bytes=0,
        created_at=utc_now(),
        losses=provenance.losses,
        rights=provenance.rights,
        recipe=provenance.recipe,
        figures=provenance.figures,
        warnings=(*warnings, *provenance.warnings),
    )
