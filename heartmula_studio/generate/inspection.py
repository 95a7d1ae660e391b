"""What a folder of official files holds and whether it can be used, from configs and headers alone.

It asks the functions that load a base, so what is fine here loads, and what is not fails with the same words.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import nn

from heartmula_studio.arch.checkpoints import (
    BaseFolder,
    download_hint,
    encoder_target,
    find_transcriptor,
    open_decoder,
    open_encoder,
    open_heartmula,
    read_codec_config,
    read_heartmula_config,
    require_part,
    survey_base,
    weight_files,
)
from heartmula_studio.arch.official import ENCODER_REPO, TRANSCRIPTOR_REPO
from heartmula_studio.arch.pairing import require_codec_of_model, require_encoder_of_codec
from heartmula_studio.arch.stored_weights import Difference, StoredNetwork, StoredTensor, stored_tensors
from heartmula_studio.dataset.prompt import PromptLayout, SpecialTokens
from heartmula_studio.errors import CheckpointError, CheckpointMissingError
from heartmula_studio.generate.base_sampling import BaseSampling


@dataclass(frozen=True)
class PartReport:
    """One part of a base. `parameters` counts numbers by the type they are stored in, "F32" and so on."""

    role: str
    path: Path
    parameters: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    differences: tuple[Difference, ...] = ()
    error: CheckpointError | None = None
    is_needed: bool = True

    @property
    def state(self) -> str:
        """ "fits", "missing" or "unusable"."""
        if self.error is None:
            return "fits"
        return "missing" if isinstance(self.error, CheckpointMissingError) else "unusable"


@dataclass(frozen=True)
class BaseReport:
    """All parts of a base; it is usable unless a part that is needed is missing, or one that is there cannot be used.

    Without an encoder, songs can be made and nothing can be learnt. The transcriptor is not used.
    """

    base: BaseFolder
    parts: tuple[PartReport, ...]

    @property
    def error(self) -> CheckpointError | None:
        """What loading the base would fail with."""
        return next((part.error for part in self.parts if part.error and part.is_needed), None)

    @property
    def can_tokenize(self) -> bool:
        return self.error is None and all(part.error is None for part in self.parts if part.role == "encoder")


def inspect_base(base: str | Path) -> BaseReport:
    """Look at a base without loading it. Raises CheckpointMissingError where the folder does not exist."""
    found = survey_base(base)
    model = inspect_network("language model", found.model, lambda: open_part(found, "model", open_heartmula))
    codec = inspect_network("codec", found.codec, lambda: open_part(found, "codec", open_decoder))
    parts = [model, codec, inspect_encoder(found), inspect_texts(found), *inspect_transcriptor(base)]
    if all(part.error is None for part in parts if part.is_needed):
        parts.append(inspect_pairing(found))
    return BaseReport(found, tuple(parts))


def open_part(
    base: BaseFolder, part: str, open_network: Callable[[Path], StoredNetwork[nn.Module]]
) -> StoredNetwork[nn.Module]:
    require_part(base, part)
    return open_network(getattr(base, part))


def inspect_network(role: str, path: Path, open_network: Callable[[], StoredNetwork[nn.Module]]) -> PartReport:
    error: CheckpointError | None = None
    try:
        stored = open_network()
    except CheckpointError as unreadable:
        return PartReport(role, path, error=unreadable)
    try:
        stored.require_fit()
    except CheckpointError as mismatch:
        error = mismatch
    return PartReport(role, path, *measure(stored.tensors), tuple(stored.differences()), error)


def measure(tensors: Mapping[str, StoredTensor]) -> tuple[Counter[str], int]:
    """Count parameters by type, and bytes."""
    parameters: Counter[str] = Counter()
    for stored in tensors.values():
        parameters[stored.header.dtype] += math.prod(stored.header.shape)
    return parameters, sum(stored.header.end - stored.header.start for stored in tensors.values())


def inspect_encoder(base: BaseFolder) -> PartReport:
    """The encoder may be missing; one that is there is loaded with the codec, so it has to be right."""
    if base.encoder is None:
        target = encoder_target(base.codec)
        missing = CheckpointMissingError(f"{target} is missing.", download_hint(ENCODER_REPO, target))
        return PartReport("encoder", target, error=missing, is_needed=False)
    return inspect_network("encoder", base.encoder, partial(open_encoder, base.encoder))


def inspect_texts(base: BaseFolder) -> PartReport:
    error: CheckpointError | None = None
    try:
        for part in ("tokenizer", "gen_config"):
            require_part(base, part)
        PromptLayout.load(base)
        BaseSampling.read(base.gen_config)
    except CheckpointError as caught:
        error = caught
    size = sum(path.stat().st_size for path in (base.tokenizer, base.gen_config) if path.is_file())
    return PartReport("tokenizer", base.tokenizer, size_bytes=size, error=error)


def inspect_transcriptor(base: str | Path) -> list[PartReport]:
    """The transcriptor's report, where there is one."""
    if (folder := find_transcriptor(base)) is None:
        return []
    try:
        tensors = stored_tensors(weight_files(folder, TRANSCRIPTOR_REPO), str)
    except CheckpointError as error:
        return [PartReport("transcriptor", folder, error=error, is_needed=False)]
    return [PartReport("transcriptor", folder, *measure(tensors), is_needed=False)]


def inspect_pairing(base: BaseFolder) -> PartReport:
    """Whether the parts, each of which loads, belong together."""
    error: CheckpointError | None = None
    try:
        codec = read_codec_config(base.codec)
        if base.encoder:
            require_encoder_of_codec(open_encoder(base.encoder).module.encoder.feature_width, codec)
        end_id = SpecialTokens.load(base.gen_config).audio_eos_id
        require_codec_of_model(read_heartmula_config(base.model), codec, end_id)
    except CheckpointError as caught:
        error = caught
    return PartReport("together", base.model.parent, error=error)
