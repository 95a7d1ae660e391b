"""What songs go on from: codes of songs that are here, or of tracks, kept in the folder of the song that goes on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.errors import CannotReplayError, ConflictError, InvalidInputError, NotFoundError, StudioError
from heartmula_studio.generate.receipt import Receipt, codes_path, prefix_path
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.store.generations import song_filename
from heartmula_studio.store.records import ACTIVE_STYLE, Generation
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # brings torch
    from heartmula_studio.generate.song_codes import SongCodes

Fill = Callable[[Path], object]
"""Puts a file into the folder of a song that is being queued."""


class Prefixes:
    """Finds codes to go on from."""

    def __init__(self, store: Store):
        self._store = store

    def of_song(self, id: str, from_sec: float | None) -> "SongCodes":
        """Return a song's codes until a second, all of them without one.

        Raises ConflictError for a song that has none, InvalidInputError for a second that it does not have.
        """
        from heartmula_studio.generate.song_codes import SongCodes

        self._store.generations.require_completed(id)
        try:
            codes = SongCodes.load(codes_path(self._store.generations.song_path(id)))
        except NotFoundError as error:
            raise ConflictError("This song has no codes: an earlier release made it.", "Make it again.") from error
        return until(codes, from_sec)

    def of_track(self, dataset_id: str, filename: str, from_sec: float | None) -> "SongCodes":
        """Return a track's codes until a second. Raises ConflictError for one that is not tokenized, NotFoundError."""
        from heartmula_studio.codec.tokens import Tokens
        from heartmula_studio.generate.song_codes import SongCodes

        path = self._store.datasets.tokens_path(dataset_id, filename)
        if not path.is_file():
            raise ConflictError(f"{filename} is not tokenized.", "Prepare the dataset first: POST …/preprocess.")
        tokens = Tokens.load(path)
        return until(SongCodes.of(tokens.codes, tokens.codec_id, seed=0), from_sec)

    def of_receipt(self, receipt: Receipt) -> "SongCodes | None":
        """Return what a song went on from, found by its hash among the songs that are here.

        Raises CannotReplayError where it is not here.
        """
        from heartmula_studio.generate.song_codes import SongCodes

        if not receipt.prefix_frames:
            return None
        for path in sorted(self._store.generations.root.glob("[!.]*/*.safetensors")):
            try:
                codes = SongCodes.load(path).until(receipt.prefix_frames)
            except StudioError:  # a damaged one; another song may have the same beginning
                continue
            if codes.sha256 == receipt.prefix_sha256:
                return codes
        raise CannotReplayError(
            "The song that this one goes on from is not here.", "Bring its codes, or make it again."
        )

    def load(self, id: str) -> "SongCodes | None":
        """Return what a queued song goes on from. Raises InvalidInputError where the file is damaged."""
        from heartmula_studio.generate.song_codes import SongCodes

        path = prefix_path(self._store.generations.song_path(id))
        return SongCodes.load(path) if path.is_file() else None


@dataclass(frozen=True)
class Continuation:
    """What is to be other than in the song that one goes on from: fields of `SongRequest`, a style for this song.

    more_sec: the longest that it may get after what it goes on from; None where `changes` say how long it is in all, or
    for as long as the other song was to be.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    format: str = "wav"
    style: str = ACTIVE_STYLE
    strength: float | None = None
    more_sec: float | None = None

    @classmethod
    def by(cls, request: SongRequest, format: str = "wav") -> "Continuation":
        """Return the wish to go on as a request says, for as long as it lasts."""
        changes = {name: value for name, value in asdict(request).items() if name != "duration_sec"}
        return cls(changes, format, more_sec=request.duration_sec)


def kept_beside(song: Generation, prefix: "SongCodes") -> Fill:
    """Return what puts the codes that a song goes on from into its folder."""
    return lambda folder: prefix.save(prefix_path(folder / song_filename(song.format)))


def until(codes: "SongCodes", from_sec: float | None) -> "SongCodes":
    """Raises InvalidInputError for a second that the song does not have."""
    length_sec = codes.codes.shape[1] / FRAME_RATE_HZ
    wanted_sec = length_sec if from_sec is None else from_sec
    if not 1 / FRAME_RATE_HZ <= wanted_sec <= length_sec:
        raise InvalidInputError(
            f"The song has no second {wanted_sec:g} to go on from.", f"It lasts {length_sec:g} seconds."
        )
    return codes.until(round(wanted_sec * FRAME_RATE_HZ))
