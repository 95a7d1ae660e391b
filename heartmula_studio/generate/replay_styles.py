"""What a song needs to be made again: its base, its codec and its styles, found among folders by their contents."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.errors import CannotReplayError, CheckpointError
from heartmula_studio.generate.base_model import BaseModel, describe_base
from heartmula_studio.generate.receipt import Receipt, StyleRecord
from heartmula_studio.generate.replay import HASH_CHARS
from heartmula_studio.generate.strength import Strength
from heartmula_studio.generate.style import identify_style


def find_styles(receipt: Receipt, base: BaseFolder, folders: Sequence[Path]) -> list[tuple[Path, Strength]]:
    """Return the folders of the styles that a song was made in, each at its strength.

    A folder that is named as the style is called is looked at first; weights and trigger word decide.
    Raises CannotReplayError, naming all that is not here: the base, the codec, a style.
    """
    model = describe_base(base)
    problems = list(_base_problems(receipt, base, model))
    found = [] if problems else [_find(record, model, folders) for record in receipt.styles]
    for record, folder in zip(receipt.styles, found, strict=False):
        if folder is None:
            problems.append(f"The style {record.id} ({record.sha256[:HASH_CHARS]}) is not here as it was.")
    if problems:
        raise CannotReplayError(
            f"This song cannot be made again here. {' '.join(problems)}",
            "Use the base that it was made with, and import its styles.",
        )
    strengths = [Strength(one.strength, one.attention_strength, one.mlp_strength) for one in receipt.styles]
    return [(folder, strength) for folder, strength in zip(found, strengths, strict=True) if folder is not None]


def _base_problems(receipt: Receipt, base: BaseFolder, model: BaseModel) -> Iterator[str]:
    if receipt.base_fingerprint != model.fingerprint:
        made_with = f"{receipt.base} ({receipt.base_fingerprint[:HASH_CHARS]})"
        yield f"It was made with the base {made_with}, and here is {base.name} ({model.fingerprint[:HASH_CHARS]})."
    if receipt.codec_id != (codec_id := stored_codebook_id(base.codec)):
        yield f"It was made with the codec {receipt.codec_id}, and here is {codec_id}."


def _find(record: StyleRecord, model: BaseModel, folders: Sequence[Path]) -> Path | None:
    for folder in sorted(folders, key=lambda folder: folder.name != record.id):
        with suppress(CheckpointError):
            style = identify_style(folder, model)
            if (style.sha256, style.trigger_word) == (record.sha256, record.trigger_word):
                return folder
    return None
