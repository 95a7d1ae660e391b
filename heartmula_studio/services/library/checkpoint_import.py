"""A trained style made elsewhere, on its way into the store."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import InvalidInputError, StudioError
from heartmula_studio.generate.adapter_config import is_scale
from heartmula_studio.generate.adapter_formats.folders import translate_folder
from heartmula_studio.generate.adapter_formats.measuring import measure_style
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.peft_check import difference_from_peft, warn_of_difference
from heartmula_studio.generate.style import StyleFolder, check_fit, check_values
from heartmula_studio.store.archives import gather, unpack
from heartmula_studio.store.names import checked_name, checked_tags, clean_line
from heartmula_studio.store.provenance import Provenance
from heartmula_studio.store.records import Change, Checkpoint, utc_now
from heartmula_studio.store.store import Store
from heartmula_studio.store.style_files import META


@dataclass(frozen=True)
class ImportRequest:
    """What its owner says of a style: a name and styles, which of several it is, and its alpha if nothing tells."""

    name: str
    styles: tuple[str, ...] = ()
    which: str | None = None
    alpha: float | None = None

    def checked(self) -> "ImportRequest":
        """Raises InvalidInputError."""
        if self.alpha is not None and not is_scale(self.alpha):
            raise InvalidInputError(f"The alpha is {self.alpha!r}.", "Give a number other than 0.")
        name, styles = checked_name(self.name, "checkpoint"), checked_tags(self.styles, "styles")
        return replace(self, name=name, styles=styles)


def import_checkpoint(
    store: Store,
    base: BaseFolder,
    source: Path,
    filename: str,
    wanted: ImportRequest,
    origin: dict[str, str] | None = None,
) -> Checkpoint:
    """Take in an adapter of any known format, or a full checkpoint, if it fits the base; it is kept as PEFT has it.

    source: a zip, a single safetensors file, or a folder of the owner's. All of its values are read once. Without
    styles, those that its meta.json tells are kept; errors speak of `filename`. origin: repository and revision of the
    Hub it came from. Where there is memory for it, its logits are compared with those that PEFT's own loading gives.
    Raises InvalidInputError for the request; ChoiceNeededError for several styles, AlphaNeededError; CheckpointError
    where it is damaged, pickled or of another base; UploadTooLargeError; StorageError.
    """
    wanted = wanted.checked()
    store.remove_abandoned()
    with store.scratch() as folder, called(folder, filename), called(source, filename):
        unpacked = (gather if source.is_dir() else unpack)(source, folder, wanted.which)
        notes = translate_folder(folder, base.model, describe_base(base), wanted.alpha)
        (folder / META).write_text(json.dumps({"base_model": unpacked.provenance.base_model}), encoding="utf-8")
        style = check_fit(folder, describe_base(base))
        check_values(style)
        change, warnings_of_change = _measure(folder, base, style)
        warnings = dict.fromkeys((*notes, *style.warnings, *warnings_of_change, *unpacked.provenance.warnings))
        record = _record(store.checkpoints.new_id(), wanted, style, unpacked.provenance, warnings, change)
        return store.checkpoints.publish(folder, replace(record, origin=origin or {}))


@contextmanager
def called(path: Path, name: str) -> Iterator[None]:
    """Have errors speak of a file or folder of ours by the name that its owner knows."""
    try:
        yield
    except StudioError as error:
        shown = clean_line(name)
        raise type(error)(error.message.replace(str(path), shown), error.hint.replace(str(path), shown)) from error


def _measure(folder: Path, base: BaseFolder, style: StyleFolder) -> tuple[Change, tuple[str, ...]]:
    """How a style changes the base, and what its owner has to know of that."""
    measured = measure_style(folder, base, style.adapter is None)
    difference = None if style.adapter is None else difference_from_peft(folder, base)
    change = Change(**asdict(measured), peft_difference=difference)
    return change, (*measured.warnings, *warn_of_difference(difference))


def _record(
    id: str,
    wanted: ImportRequest,
    style: StyleFolder,
    provenance: Provenance,
    warnings: Iterable[str],
    change: Change,
) -> Checkpoint:
    return Checkpoint(
        id=id,
        name=wanted.name,
        styles=wanted.styles or provenance.styles,
        method=style.method,
        base_model=provenance.base_model,
        dataset_id=None,
        job_id=None,
        size_bytes=0,
        created_at=utc_now(),
        losses=provenance.losses,
        rights=provenance.rights,
        recipe=provenance.recipe,
        trigger_word=provenance.trigger_word,
        figures=provenance.figures,
        merged_from=provenance.merged_from,
        warnings=tuple(warnings),
        change=change,
    )
