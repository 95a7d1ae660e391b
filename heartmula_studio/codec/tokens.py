"""The tokens of one song, as they lie on disk."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heartmula_studio.codec.track_version import TrackVersion, VersionCodes
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.torch_file import save_torch_file

NUMBER = (int, float)
KINDS: dict[str, type | tuple[type, ...]] = {
    "codes": Tensor,
    "frame_rate": NUMBER,
    "codec": str,
    "source_sha256": str,
    "source_sec": NUMBER,
}
KEYS = tuple(KINDS)
# Earlier releases did not write these: a bool, and a list of {"speed", "offset_sec", "codes"}.
ENDS, VERSIONS = "ends", "versions"
PROCESS_AGAIN = "Tokenize the song again."


@dataclass(frozen=True)
class Tokens:
    """A song as the music model sees it.

    codes: int16 [K, T], one column per frame. `codec_id` names the codebook the codes point into: they mean nothing
    to any other codec. `source_sha256` and `source_sec` are those of the audio file. `ends` says whether the recording
    comes to an end, rather than being cut off; where nobody looked, it is taken for cut off. `versions` are the same
    recording read in other ways, from number 1 on.
    """

    codes: Tensor
    frame_rate_hz: float
    codec_id: str
    source_sha256: str
    source_sec: float
    ends: bool = False
    versions: tuple[VersionCodes, ...] = ()

    def __post_init__(self) -> None:
        assert self.codes.dtype == torch.int16, self.codes.dtype
        assert self.codes.ndim == 2, self.codes.shape

    def save(self, path: str | Path) -> None:
        """Write a dict that `torch.load(weights_only=True)` reads, whole or not at all."""
        values = (self.codes.cpu().clone(), self.frame_rate_hz, self.codec_id, self.source_sha256, self.source_sec)
        with replaced_file(Path(path)) as temporary:
            others = [{**asdict(other.version), "codes": other.codes.cpu().clone()} for other in self.versions]
            record = {**dict(zip(KEYS, values, strict=True)), ENDS: self.ends}
            save_torch_file(record | ({VERSIONS: others} if others else {}), temporary)

    @classmethod
    def load(cls, path: str | Path) -> "Tokens":
        """Raises NotFoundError, or InvalidInputError where the file is damaged or holds something else."""
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"There is no token file {path}.", PROCESS_AGAIN)
        try:
            record = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever the damaged bytes lead it to
            raise InvalidInputError(f"{path} is damaged: {type(error).__name__}.", PROCESS_AGAIN) from error
        if not isinstance(record, dict) or not set(KEYS) <= record.keys():
            raise InvalidInputError(f"{path} holds no tokens: it lacks one of {', '.join(KEYS)}.", PROCESS_AGAIN)
        if wrong := [key for key, kind in KINDS.items() if not isinstance(record[key], kind)]:
            raise InvalidInputError(f"{path} holds a value of the wrong kind for {wrong[0]}.", PROCESS_AGAIN)
        if not 0 < record["frame_rate"] < math.inf or not 0 <= record["source_sec"] < math.inf:
            raise InvalidInputError(
                f"{path} has a frame_rate of {record['frame_rate']} and a source_sec of {record['source_sec']}.",
                PROCESS_AGAIN,
            )
        codes = record["codes"]
        if codes.dtype != torch.int16 or codes.ndim != 2:
            raise InvalidInputError(
                f"{path} holds codes of the wrong kind; int16 [K, frames] is expected.", PROCESS_AGAIN
            )
        values = (record["frame_rate"], record["codec"], record["source_sha256"], record["source_sec"])
        return cls(codes, *values, record.get(ENDS) is True, read_versions(record.get(VERSIONS, []), path))


def read_versions(records: Any, path: Path) -> tuple[VersionCodes, ...]:
    """Take versions from a token file's record. Raises InvalidInputError, naming the file, where they are none."""
    try:
        found = [(TrackVersion(float(r["speed"]), float(r["offset_sec"])), r["codes"]) for r in records]
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInputError(f"{path} holds versions of the wrong kind.", PROCESS_AGAIN) from error
    if not all(isinstance(codes, Tensor) and codes.dtype == torch.int16 and codes.ndim == 2 for _, codes in found):
        raise InvalidInputError(f"{path} holds codes of the wrong kind; int16 [K, frames] is expected.", PROCESS_AGAIN)
    return tuple(VersionCodes(version, codes) for version, codes in found)
