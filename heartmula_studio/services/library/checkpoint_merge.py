"""Several stored styles made a new one, which names its parents."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from safetensors.torch import save_file

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.generate.adapter_config import CONFIG_FILE
from heartmula_studio.generate.adapter_files import WEIGHTS_FILE
from heartmula_studio.generate.adapter_formats.measuring import measure_style
from heartmula_studio.generate.adapter_formats.merging import BaseWeights
from heartmula_studio.generate.adapter_formats.peft import PeftAdapter
from heartmula_studio.generate.adapter_merging import WeightedAdapter, merge_adapters
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.merge_settings import MergeSettings
from heartmula_studio.generate.strength import Strength, check_strength
from heartmula_studio.generate.style import StyleFolder, check_fit, check_values, require_mixable, weights_sha256
from heartmula_studio.services.library.checkpoint_import import called
from heartmula_studio.store.names import MAX_TAGS, checked_name, checked_tags
from heartmula_studio.store.records import Change, Checkpoint, MergedParent, StyleChoice, TrackRights, utc_now
from heartmula_studio.store.store import Store

LOST = 0.01
LOST_WARNING = "Its rank has no room for {share:.0%} of what its parents change together: a higher one comes closer."
TRIGGERS_WARNING = "Its parents have trigger words of their own; put them before the tags: {words}."


@dataclass(frozen=True)
class _Parent:
    record: Checkpoint
    choice: StyleChoice
    style: StyleFolder

    @property
    def strength(self) -> Strength:
        return Strength(self.choice.strength, self.choice.attention_strength, self.choice.mlp_strength)


def merge_checkpoints(
    store: Store,
    base: BaseFolder,
    name: str,
    choices: Sequence[StyleChoice],
    settings: MergeSettings,
    styles: Sequence[str] = (),
) -> Checkpoint:
    """Merge adapters into a new one, stored whole or not at all; the parents stay as they are.

    Without `styles`, it has its parents'. Raises InvalidInputError for fewer than two, a full fine-tune, or what cannot
    be merged in this way; NotFoundError; CheckpointError where one is damaged or of another base; StorageError.
    """
    name = checked_name(name, "checkpoint")
    if len(choices) < 2:
        raise InvalidInputError("There is nothing to merge.", "Give two or more styles.")
    with ExitStack() as names, store.scratch() as folder, disk_explained(folder):
        parents = [_open(store, base, choice, names) for choice in choices]
        require_mixable([parent.style for parent in parents])
        styles = checked_tags(styles, "styles") or _styles(parents)
        adapters = [WeightedAdapter(p.style.adapter, p.strength) for p in parents if p.style.adapter]
        merged = merge_adapters(adapters, settings, describe_base(base), BaseWeights(base.model).read)
        _write(folder, merged.adapter)
        check_values(check_fit(folder, describe_base(base)))
        change = measure_style(folder, base, is_full=False)
        lost = (LOST_WARNING.format(share=merged.lost),) if merged.lost > LOST else ()
        record = replace(
            _record(store.checkpoints.new_id(), name, parents, settings),
            styles=styles,
            warnings=(*lost, *_trigger_warning(parents), *change.warnings),
            change=Change(**asdict(change)),
        )
        return store.checkpoints.publish(folder, record)


def _record(id: str, name: str, parents: Sequence[_Parent], settings: MergeSettings) -> Checkpoint:
    """What is known of a merge from its parents."""
    return Checkpoint(
        id=id,
        name=name,
        styles=(),
        method="lora",
        base_model=next((parent.record.base_model for parent in parents if parent.record.base_model), {}),
        dataset_id=None,
        job_id=None,
        size_bytes=0,
        created_at=utc_now(),
        rights=_rights(parents),
        recipe={"merge": asdict(settings)},
        figures={"is_near_copy": True} if any(p.record.figures.get("is_near_copy") for p in parents) else {},
        trigger_word=_trigger_word(parents),
        merged_from=tuple(map(_named, parents)),
    )


def _open(store: Store, base: BaseFolder, choice: StyleChoice, names: ExitStack) -> _Parent:
    """Look whether a style fits; errors speak of it by its name from here on."""
    folder, record = store.checkpoints.folder(choice.id), store.checkpoints.get(choice.id)
    names.enter_context(called(folder, record.name))
    parent = _Parent(record, choice, check_fit(folder, describe_base(base)))
    check_strength(parent.strength, parent.style.method)
    return parent


def _write(folder: Path, adapter: PeftAdapter) -> None:
    save_file(dict(adapter.tensors), folder / WEIGHTS_FILE, {"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(adapter.config, indent=1) + "\n", encoding="utf-8")


def _named(parent: _Parent) -> MergedParent:
    choice, adapter = parent.choice, parent.style.adapter
    assert adapter is not None
    sha256 = weights_sha256([adapter.weights])
    strengths = choice.strength, choice.attention_strength, choice.mlp_strength
    return MergedParent(parent.record.id, parent.record.name, sha256, *strengths)


def _styles(parents: Sequence[_Parent]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(style for parent in parents for style in parent.record.styles))[:MAX_TAGS]


def _rights(parents: Sequence[_Parent]) -> tuple[TrackRights, ...]:
    """All recordings that the parents learnt from, each once; none where those of one parent are not recorded."""
    if not all(parent.record.rights for parent in parents):
        return ()
    return tuple({track.sha256: track for parent in parents for track in parent.record.rights}.values())


def _trigger_words(parents: Sequence[_Parent]) -> list[str]:
    return list(dict.fromkeys(parent.record.trigger_word for parent in parents if parent.record.trigger_word))


def _trigger_word(parents: Sequence[_Parent]) -> str:
    """The parents' own, where they share one: a style has room for one."""
    words = _trigger_words(parents)
    return words[0] if len(words) == 1 else ""


def _trigger_warning(parents: Sequence[_Parent]) -> tuple[str, ...]:
    words = _trigger_words(parents)
    return (TRIGGERS_WARNING.format(words=", ".join(words)),) if len(words) > 1 else ()
