"""The codes of a song, in a file beside it: what it is decoded from again, replayed by and continued from."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.errors import InvalidInputError, NotFoundError

CODES, CODEC, SEED = "codes", "codec_id", "seed"
MAKE_AGAIN = "Make the song again."


@dataclass(frozen=True)
class SongCodes:
    """Codes, int16 [K, T], of the codec `codec_id`; `seed` is that of the noise they were turned into sound with."""

    codes: Tensor
    codec_id: str
    seed: int

    @classmethod
    def of(cls, codes: Tensor, codec_id: str, seed: int) -> "SongCodes":
        return cls(codes.to("cpu", torch.int16).contiguous(), codec_id, seed)

    def until(self, num_frames: int) -> "SongCodes":
        """Return the first frames of the song."""
        return replace(self, codes=self.codes[:, :num_frames].contiguous())

    @property
    def duration_sec(self) -> float:
        return self.codes.shape[1] / FRAME_RATE_HZ

    def last(self, num_frames: int) -> "SongCodes":
        """Return the last frames of the song."""
        return replace(self, codes=self.codes[:, self.codes.shape[1] - num_frames :].contiguous())

    @property
    def sha256(self) -> str:
        """The SHA-256 of the codes as they lie in the file."""
        return hashlib.sha256(self.codes.numpy().astype("<i2").tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        save_file({CODES: self.codes}, path, {CODEC: self.codec_id, SEED: str(self.seed)})

    @classmethod
    def load(cls, path: Path) -> "SongCodes":
        """Raises NotFoundError, or InvalidInputError where the file is damaged or holds something else."""
        if not path.is_file():
            raise NotFoundError(f"There are no codes at {path}.", "Songs of earlier releases have none.")
        try:
            with safe_open(path, "pt") as file:
                codes, facts = file.get_tensor(CODES), file.metadata() or {}
                found = cls(codes, facts[CODEC], int(facts[SEED]))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InvalidInputError(f"{path} is damaged, or holds no codes of a song.", MAKE_AGAIN) from error
        if codes.dtype != torch.int16 or codes.ndim != 2:
            raise InvalidInputError(f"{path} holds codes of the wrong kind; int16 [K, frames] is expected.", MAKE_AGAIN)
        return found
