"""Which files among many make up a style, told by their names alone: in a folder, an archive, or a trainer's output."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from heartmula_studio.errors import CheckpointError, CheckpointMissingError, ChoiceNeededError, NotFoundError
from heartmula_studio.store.names import clean_line
from heartmula_studio.store.records import Method

StyleFormat = Literal["peft", "safetensors", "kohya", "comfyui", "merged"]
"""What a style goes out as. peft: the folder as it is stored. safetensors: one file by PEFT's names, its settings in
the metadata. kohya, comfyui: one file by their names. merged: full weights, as heartlib loads them."""

STYLE_FORMATS: tuple[StyleFormat, ...] = get_args(StyleFormat)
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_CONFIG = "config.json"
META = "meta.json"
MAX_OFFERED = 30

_WEIGHTS = ".safetensors"
_MODEL_FILES = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_ADAPTER_FILES = re.compile(r"adapter_model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_PICKLES = re.compile(r".+\.(bin|pt|pth|ckpt|pkl|pickle)", re.IGNORECASE)
_NO_STYLES = re.compile(r"(optimizer|scheduler|random_states|rng_state|trainer_state|training_args|ema_state).*", re.I)
_OTHER_NETWORKS = re.compile(r"(HeartCodec|HeartTranscriptor).*")
_CLUTTER = re.compile(r"\..*")
WHAT_IS_TAKEN = (
    f"Give a .zip or folder of an adapter ({ADAPTER_WEIGHTS} and {ADAPTER_CONFIG}), one .safetensors file of an "
    f"adapter, or a full checkpoint (model.safetensors and {MODEL_CONFIG})."
)


@dataclass(frozen=True)
class StyleFiles:
    """One style among others. `place` is its folder or file, "" for the folder itself; `files` lie at the paths behind.

    method: what the names tell; a single file can turn out to be full weights.
    """

    place: str
    method: Method
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        return clean_line(self.place) or "."


def method_of(names: Sequence[str]) -> Method | None:
    """Tell what a folder with these files is; None if it is no checkpoint as it is stored here."""
    if {ADAPTER_WEIGHTS, ADAPTER_CONFIG} <= set(names):
        return "lora"
    has_weights = any(_MODEL_FILES.fullmatch(name) and name.endswith(_WEIGHTS) for name in names)
    return "full" if has_weights and MODEL_CONFIG in names else None


def belongs(name: str, method: Method) -> bool:
    """Tell whether a file is part of a checkpoint's weights."""
    if method == "lora":
        return name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG)
    return name == MODEL_CONFIG or _MODEL_FILES.fullmatch(name) is not None


def is_pickle(name: str) -> bool:
    return _PICKLES.fullmatch(name) is not None


def find_styles(paths: Iterable[str]) -> list[StyleFiles]:
    """Return the styles among files, given by paths with slashes; the steps of a run from the last to the first."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        place = PurePosixPath(path)
        if not _CLUTTER.fullmatch(place.name) and "__MACOSX" not in place.parts:
            folders[str(place.parent)][place.name] = path
    found = [style for folder, files in folders.items() for style in _styles_of(folder, files)]
    return sorted(found, key=_order)


def choose_style(styles: Sequence[StyleFiles], which: str | None, called: str) -> StyleFiles:
    """Return the style called `which`, by its path or the end of it; without, the only one.

    Raises CheckpointMissingError where there is none, ChoiceNeededError where there are several, NotFoundError.
    """
    if not styles:
        raise CheckpointMissingError(f"{called} holds no checkpoint.", WHAT_IS_TAKEN)
    named = ", ".join(style.name for style in styles[:MAX_OFFERED])
    if which:
        exact = [style for style in styles if style.name == which]
        found = exact or [style for style in styles if style.name.endswith(f"/{which}")]
        if len(found) != 1:
            raise NotFoundError(f"{called} holds no {which[:100]!r}.", f"Choose one of: {named}.")
        return found[0]
    if len(styles) > 1:
        raise ChoiceNeededError(f"{called} holds {len(styles)} checkpoints.", f"Choose one of: {named}.")
    return styles[0]


def refuse_pickles(names: Iterable[str]) -> None:
    """Raise CheckpointError where weights are pickled. For a place without a style that can be taken."""
    if pickled := next((name for name in names if is_pickle(name)), None):
        raise pickle_error(pickled)


def pickle_error(what: str) -> CheckpointError:
    return CheckpointError(
        f"{what} is a pickle, which can run code when it is opened.",
        "Save it as safetensors: model.save_pretrained(folder, safe_serialization=True), then pack that folder.",
    )


def _styles_of(folder: str, files: Mapping[str, str]) -> list[StyleFiles]:
    place = "" if folder == "." else folder
    if ADAPTER_CONFIG in files:
        if weights := [name for name in files if _ADAPTER_FILES.fullmatch(name)]:
            return [_style(place, "lora", files, [*weights, ADAPTER_CONFIG])]
        alone = [name for name in files if _is_weights(name)]
        if len(alone) == 1:  # under a name of their own, as some trainers leave them
            taken = {ADAPTER_WEIGHTS: files[alone[0]], ADAPTER_CONFIG: files[ADAPTER_CONFIG]}
            return [StyleFiles(place, "lora", taken | _meta(files))]
    if _OTHER_NETWORKS.fullmatch(PurePosixPath(folder).name):
        return []
    model = [name for name in files if _MODEL_FILES.fullmatch(name)]
    if MODEL_CONFIG in files and any(_is_weights(name) for name in model):
        return [_style(place, "full", files, [*model, MODEL_CONFIG])]
    loose = [name for name in files if _is_weights(name)]
    return [StyleFiles(files[name], "lora", {ADAPTER_WEIGHTS: files[name]} | _meta(files)) for name in loose]


def _is_weights(name: str) -> bool:
    return name.endswith(_WEIGHTS) and not _NO_STYLES.fullmatch(name)


def _style(place: str, method: Method, files: Mapping[str, str], names: Sequence[str]) -> StyleFiles:
    return StyleFiles(place, method, {name: files[name] for name in names} | _meta(files))


def _meta(files: Mapping[str, str]) -> dict[str, str]:
    return {META: files[META]} if META in files else {}


def _order(style: StyleFiles) -> tuple[bool, int, str]:
    numbers = re.findall(r"\d+", style.place)
    return style.place != "", -int(numbers[-1]) if numbers else -(10**12), style.place
