"""What a song keeps of another one, or of a recording: codes that it begins with, and codes that it ends with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from heartmula_studio.codec.codec import Codec
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.sounding import require_codec


@dataclass(frozen=True)
class KeptCodes:
    """Codes that stay as they are, bit for bit; what lies between them is remade.

    The language model goes on from the prefix. It does not know the suffix, which is put after what it makes: that is
    as long as the request's length leaves room for.
    """

    prefix: SongCodes | None = None
    suffix: SongCodes | None = None

    @classmethod
    def ends_of(cls, codes: SongCodes, prefix_frames: int, suffix_frames: int) -> "KeptCodes":
        """Return the first and the last frames of a song, None where none are wanted."""
        prefix = codes.until(prefix_frames) if prefix_frames else None
        return cls(prefix, codes.last(suffix_frames) if suffix_frames else None)

    @property
    def prefix_sec(self) -> float:
        return self.prefix.duration_sec if self.prefix else 0.0

    @property
    def suffix_sec(self) -> float:
        return self.suffix.duration_sec if self.suffix else 0.0

    @property
    def prefix_codes(self) -> Tensor | None:
        """int64 [K, T]"""
        return self.prefix.codes.long() if self.prefix else None

    def require_codec(self, codec: Codec) -> None:
        """Raise CheckpointMismatchError or InvalidInputError where a codec cannot decode them."""
        for kept in filter(None, (self.prefix, self.suffix)):
            require_codec(kept, codec)
            codec.check_codes(kept.codes)

    def until_suffix(self, request: SongRequest) -> SongRequest:
        """Return the request for what comes before the suffix, exactly so long. Raises InvalidInputError."""
        if self.suffix is None:
            return request
        before_sec = request.duration_sec - self.suffix_sec
        return replace(request, duration_sec=before_sec, min_duration_sec=before_sec)

    def suffix_frames(self, num_songs: int) -> Iterator[list[Tensor | None]]:
        """Yield the frames that all of several songs end with, as `CodeGenerator.frames` does."""
        if self.suffix is not None:
            yield from ([frame] * num_songs for frame in self.suffix.codes.long().T)

    def noted(self, receipt: Receipt) -> Receipt:
        """Return a receipt that tells of them. Whether the song ends by itself is not known where its end is kept."""
        if self.prefix:
            frames, sha256 = self.prefix.codes.shape[1], self.prefix.sha256
            receipt = replace(receipt, prefix_frames=frames, prefix_sha256=sha256)
        if self.suffix:
            frames, sha256 = self.suffix.codes.shape[1], self.suffix.sha256
            receipt = replace(receipt, suffix_frames=frames, suffix_sha256=sha256, ended=None)
        return receipt

    def are_of(self, receipt: Receipt) -> bool:
        """Whether a song with this receipt kept just these."""
        hashes = tuple(kept.sha256 if kept else "" for kept in (self.prefix, self.suffix))
        return hashes == (receipt.prefix_sha256, receipt.suffix_sha256)


NOTHING_KEPT = KeptCodes()
