"""What songs keep: codes of songs that are here, or of tracks, which lie in the folder of the song that keeps them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.errors import CannotReplayError, ConflictError, InvalidInputError, NotFoundError, StudioError
from heartmula_studio.generate.receipt import Receipt, codes_path, prefix_path, suffix_path
from heartmula_studio.generate.request import MAX_SONG_SEC, MIN_SONG_SEC, SongRequest, new_seed
from heartmula_studio.store.generations import song_filename
from heartmula_studio.store.records import ACTIVE_STYLE, Generation
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # brings torch
    from heartmula_studio.generate.kept_codes import KeptCodes
    from heartmula_studio.generate.song_codes import SongCodes

Fill = Callable[[Path], object]
"""Puts a file into the folder of a song that is being queued."""


class Prefixes:
    """Finds codes to go on from, and those that a song ends with of which a stretch alone is made anew."""

    def __init__(self, store: Store):
        self._store = store

    def of_song(self, id: str, from_sec: float | None, to_sec: float | None) -> "KeptCodes":
        """Return a song's codes but for a stretch. Raises as `around`, and ConflictError for a song that has none."""
        from heartmula_studio.generate.song_codes import SongCodes

        self._store.generations.require_completed(id)
        try:
            codes = SongCodes.load(codes_path(self._store.generations.song_path(id)))
        except NotFoundError as error:
            raise ConflictError("This song has no codes: an earlier release made it.", "Make it again.") from error
        return around(codes, from_sec, to_sec)

    def of_track(self, dataset_id: str, filename: str, from_sec: float | None, to_sec: float | None) -> "KeptCodes":
        """Return a track's codes but for a stretch.

        Raises as `around`, ConflictError for one that is not tokenized, NotFoundError.
        """
        from heartmula_studio.codec.tokens import Tokens
        from heartmula_studio.generate.song_codes import SongCodes

        path = self._store.datasets.tokens_path(dataset_id, filename)
        if not path.is_file():
            raise ConflictError(f"{filename} is not tokenized.", "Prepare the dataset first: POST …/preprocess.")
        tokens = Tokens.load(path)
        return around(SongCodes.of(tokens.codes, tokens.codec_id, seed=0), from_sec, to_sec)

    def of_receipt(self, receipt: Receipt) -> "KeptCodes":
        """Return what a song kept of another one, found by its hashes among the songs that are here.

        Raises CannotReplayError where it is not here.
        """
        from heartmula_studio.generate.kept_codes import NOTHING_KEPT, KeptCodes
        from heartmula_studio.generate.song_codes import SongCodes

        if NOTHING_KEPT.are_of(receipt):
            return NOTHING_KEPT
        for path in sorted(self._store.generations.root.glob("[!.]*/*.safetensors")):
            try:
                kept = KeptCodes.ends_of(SongCodes.load(path), receipt.prefix_frames, receipt.suffix_frames)
            except StudioError:  # a damaged one; another song may have the same beginning
                continue
            if kept.are_of(receipt):
                return kept
        raise CannotReplayError(
            "The song that this one continues is not here.", "Make that song again first, by its receipt."
        )

    def load(self, id: str) -> "KeptCodes":
        """Return what a queued song keeps. Raises InvalidInputError where a file is damaged."""
        from heartmula_studio.generate.kept_codes import KeptCodes
        from heartmula_studio.generate.song_codes import SongCodes

        song = self._store.generations.song_path(id)
        paths = prefix_path(song), suffix_path(song)
        return KeptCodes(*(SongCodes.load(path) if path.is_file() else None for path in paths))


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

    def changed(self, request: SongRequest, from_sec: float, whole_sec: float | None) -> SongRequest:
        """Return a song's request for one that goes on from it at a second.

        whole_sec: how long it is in all where its end is kept; it then gets a new seed, which else would make the same.
        Raises InvalidInputError.
        """
        changes = {name: value for name, value in self.changes.items() if value is not None}
        if whole_sec is not None:
            return SongRequest(**asdict(request) | {"seed": new_seed()} | changes | {"duration_sec": whole_sec})
        more_sec = request.duration_sec if self.more_sec is None else self.more_sec
        longer = {"duration_sec": min(from_sec + more_sec, MAX_SONG_SEC)}
        return SongRequest(**asdict(request) | longer | changes)


def kept_beside(song: Generation, kept: "KeptCodes") -> Fill:
    """Return what puts the codes that a song keeps into its folder."""

    def fill(folder: Path) -> None:
        path = folder / song_filename(song.format)
        if kept.prefix:
            kept.prefix.save(prefix_path(path))
        if kept.suffix:
            kept.suffix.save(suffix_path(path))

    return fill


def at_frame(sec: float) -> float:
    """Return the second that the nearest frame begins at."""
    return round(sec * FRAME_RATE_HZ) / FRAME_RATE_HZ


def around(codes: "SongCodes", from_sec: float | None, to_sec: float | None) -> "KeptCodes":
    """Return the codes before and after a stretch; without `to_sec` those until `from_sec`, its end without one.

    Raises InvalidInputError for seconds that the song does not have.
    """
    from heartmula_studio.generate.kept_codes import KeptCodes

    if to_sec is None:
        return KeptCodes(until(codes, from_sec))
    num_frames, first_sec = codes.codes.shape[1], from_sec or 0.0
    start, end = (round(sec * FRAME_RATE_HZ) if isfinite(sec) else -1 for sec in (first_sec, to_sec))
    if not (0 <= start < end < num_frames and to_sec >= MIN_SONG_SEC):
        raise InvalidInputError(
            f"The part from second {first_sec:g} to {to_sec:g} cannot be remade.",
            f"The song lasts {codes.duration_sec:g} seconds. A part ends before that, at second {MIN_SONG_SEC} or "
            "later. To replace everything after a certain second, continue the song from there.",
        )
    return KeptCodes.ends_of(codes, start, num_frames - end)


def until(codes: "SongCodes", from_sec: float | None) -> "SongCodes":
    """Raises InvalidInputError for a second that the song does not have."""
    length_sec = codes.duration_sec
    wanted_sec = length_sec if from_sec is None else from_sec
    if not 1 / FRAME_RATE_HZ <= wanted_sec <= length_sec:
        raise InvalidInputError(
            f"The song has no second {wanted_sec:g} to continue from.", f"It lasts {length_sec:g} seconds."
        )
    return codes.until(round(wanted_sec * FRAME_RATE_HZ))
