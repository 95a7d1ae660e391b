"""The tokens of one song, as they lie on disk."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

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
ENDS = "ends"  # a bool; earlier releases did not write it
PROCESS_AGAIN = "Tokenize the song again."


@dataclass(frozen=True)
class Tokens:
    """A song as the music model sees it.

    codes: int16 [K, T], one column per frame. `codec_id` names the codebook the codes point into: they mean nothing
    to any other codec. `source_sha256` and `source_sec` are those of the audio file. `ends` says whether the recording
    comes to an end, rather than being cut off; where nobody looked, it is taken for cut off.
    """

    codes: Tensor
    frame_rate_hz: float
    codec_id: str
    source_sha256: str
    source_sec: float
    ends: bool = False

    def __post_init__(self) -> None:
        assert self.codes.dtype == torch.int16, self.codes.dtype
        assert self.codes.ndim == 2, self.codes.shape

    def save(self, path: str | Path) -> None:
        """Write a dict that `torch.load(weights_only=True)` reads, whole or not at all."""
        values = (self.codes.cpu().clone(), self.frame_rate_hz, self.codec_id, self.source_sha256, self.source_sec)
        with replaced_file(Path(path)) as temporary:
            save_torch_file({**dict(zip(KEYS, values, strict=True)), ENDS: self.ends}, temporary)

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
            raise InvalidInputError(f"{path} holds a value of a wrong kind for {wrong[0]}.", PROCESS_AGAIN)
        if not 0 < record["frame_rate"] < math.inf or not 0 <= record["source_sec"] < math.inf:
            raise InvalidInputError(
                f"{path} tells of a frame_rate of {record['frame_rate']} and a source_sec of {record['source_sec']}.",
                PROCESS_AGAIN,
            )
        codes = record["codes"]
        if codes.dtype != torch.int16 or codes.ndim != 2:
            raise InvalidInputError(f"{path} holds codes of a wrong kind; int16 [K, frames] is right.", PROCESS_AGAIN)
        values = (record["frame_rate"], record["codec"], record["source_sha256"], record["source_sec"])
        return cls(codes, *values, ends=record.get(ENDS) is True)
