"""What a replica is asked to make, and what comes back while it does. All of it can be pickled."""

import pickle
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.kept_codes import KeptCodes
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.services.songs.song_engine import Composition, Redecoding
from heartmula_studio.services.songs.song_styles import StylesAt


@dataclass(frozen=True)
class WantedFile:
    """The name of a song's file, and what its receipt has as `tried`."""

    name: str
    tried: tuple[int, ...] = ()


@dataclass(frozen=True)
class ComposeOrder:
    """Songs to be made side by side; no file is wanted of those that are made for the others' sake."""

    base_name: str
    styles: StylesAt
    requests: Sequence[SongRequest]
    wanted: tuple[WantedFile | None, ...]
    decoding: DecodeSettings
    kept: KeptCodes
    id: str = field(default_factory=secrets.token_hex)

    @classmethod
    def of(cls, work: Composition, base_name: str, styles: StylesAt) -> "ComposeOrder":
        wanted = tuple(WantedFile(one.path.name, one.tried) if one else None for one in work.outputs)
        return cls(base_name, styles, work.requests, wanted, work.decoding, work.kept)

    def without(self, made: frozenset[int]) -> "ComposeOrder":
        """Return the same songs once more, without the files of those that are made."""
        left = tuple(None if number in made else one for number, one in enumerate(self.wanted))
        return replace(self, wanted=left, id=secrets.token_hex())


@dataclass(frozen=True)
class DecodeOrder:
    """A song to be turned into sound anew, from its codes."""

    base_name: str
    codes: SongCodes
    receipt: Receipt
    decoding: DecodeSettings
    filename: str
    id: str = field(default_factory=secrets.token_hex)

    @classmethod
    def of(cls, work: Redecoding, base_name: str) -> "DecodeOrder":
        return cls(base_name, work.codes, work.receipt, work.decoding, work.output.path.name)

    def without(self, made: frozenset[int]) -> "DecodeOrder":
        return replace(self, id=secrets.token_hex())


Order = ComposeOrder | DecodeOrder


@dataclass(frozen=True)
class Progressed:
    """How many frames are composed, or how many windows are sound."""

    done: int
    total: int
    is_sound: bool


@dataclass(frozen=True)
class Sounded:
    """A finished stretch [2, n] of a song, float32, that begins at the sample `start`."""

    number: int
    start: int
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Made:
    """A finished song: the contents of its files by their names."""

    number: int
    files: Mapping[str, bytes]
    is_audible: bool


@dataclass(frozen=True)
class Ended:
    """The last event of an order that a replica has come to the end of. error: what it ended with, if anything."""

    error: Exception | None = None


@dataclass(frozen=True)
class Lost:
    """The last event of an order whose replica is gone, or the cluster. reason: in Ray's words."""

    reason: str


Event = Progressed | Sounded | Made | Ended | Lost


class Channel(Protocol):
    """A connection of `multiprocessing`, whatever it is made of on this system."""

    def send_bytes(self, data: bytes, /) -> None: ...

    def recv_bytes(self) -> bytes: ...

    def poll(self, wait_sec: float, /) -> bool: ...

    def close(self) -> None: ...


def send(connection: Channel, what: object) -> None:
    """Raises OSError where nobody is at the other end any more."""
    connection.send_bytes(pickle.dumps(what))


def receive(connection: Channel) -> Any:
    """Return what the other end, a process of ours, has sent. Raises EOFError, OSError."""
    return pickle.loads(connection.recv_bytes())
