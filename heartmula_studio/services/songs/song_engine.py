"""Where songs are made, and what queue and maker ask of that place: an engine in this process, or several on a cluster.

What differs between them stays behind `SongEngine`; songs, their order and their files are the server's in any case.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heartmula_studio.store.records import Generation

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.codec.control import Cancelled, Progress
    from heartmula_studio.generate.decode_settings import DecodeSettings
    from heartmula_studio.generate.kept_codes import KeptCodes
    from heartmula_studio.generate.receipt import Receipt
    from heartmula_studio.generate.request import SongRequest
    from heartmula_studio.generate.song_codes import SongCodes
    from heartmula_studio.generate.song_writer import GeneratedSong
    from heartmula_studio.generate.takes import SongOutput


@dataclass(frozen=True)
class Composition:
    """Songs to be made side by side, as `Engine.make_takes` has them. `say`: puts a message into their records."""

    requests: "Sequence[SongRequest]"
    outputs: "Sequence[SongOutput | None]"
    decoding: "DecodeSettings"
    kept: "KeptCodes"
    progress: "Progress"
    decode_progress: "Progress"
    cancelled: "Cancelled"
    finished: "Callable[[int, GeneratedSong], None]"
    say: Callable[[str], None]


@dataclass(frozen=True)
class Redecoding:
    """A song to be turned into sound anew, from its codes and the receipt that it was made with, as by `redecode`."""

    codes: "SongCodes"
    receipt: "Receipt"
    decoding: "DecodeSettings"
    output: "SongOutput"
    progress: "Progress"
    cancelled: "Cancelled"
    finished: "Callable[[int, GeneratedSong], None]"
    say: Callable[[str], None]


class SongEngine(Protocol):
    """Makes songs. Any thread may call any method; as many as `num_batches` make songs at once."""

    @property
    def num_batches(self) -> int:
        """How many batches of songs it can make at once."""
        ...

    @property
    def is_loaded(self) -> bool:
        """Whether a song could begin at once, as far as the models are concerned."""
        ...

    def enter(self, lease: ExitStack, since: str) -> str | None:
        """Take a place for a batch asked for at `since`, in UTC, until `lease` ends; else return what it waits for.

        Raises the StudioErrors of a place where no song can be made.
        """
        ...

    def wanted(self, since: str) -> AbstractContextManager[None]:
        """Mark that a song asked for at `since` waits for a place."""
        ...

    def load(self) -> None:
        """Load what the first song needs; a place was taken before. Raises StudioError."""
        ...

    def compose(self, song: Generation, work: Composition) -> None:
        """Make songs in the style of one of them; a place was taken before.

        Raises as `Engine.make_takes`, and what is wrong with the style.
        """
        ...

    def decode(self, work: Redecoding) -> None:
        """Turn a song's codes into sound anew; a place was taken before. Raises as `redecode`."""
        ...

    def let_go(self) -> None:
        """Give back the memory of the models, which the next song loads again."""
        ...

    def close(self) -> None:
        """Let go of what this server holds."""
        ...
