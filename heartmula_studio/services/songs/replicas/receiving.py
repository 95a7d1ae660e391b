"""What becomes of a replica's answers: files, progress, and sound for whoever listens already."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from heartmula_studio.codec.control import Progress
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.generate.receipt import Receipt, codes_path, receipt_path
from heartmula_studio.generate.song_writer import GeneratedSong, Listener
from heartmula_studio.generate.takes import SongOutput
from heartmula_studio.services.songs.replicas.orders import Event, Made, Progressed, Sounded
from heartmula_studio.services.songs.song_engine import Composition, Redecoding


class Receiver:
    """Takes the events of an order, and of the same one given again: what was heard already is not heard twice.

    To be closed at the end.
    """

    def __init__(self, work: Composition | Redecoding):
        self._work = work
        self._outputs = work.outputs if isinstance(work, Composition) else [work.output]
        self._streams: dict[int, SongStream] = {}
        self.made: frozenset[int] = frozenset()

    def take(self, event: Event) -> None:
        """Raises StorageError."""
        if isinstance(event, Progressed):
            self._progress(event.is_sound)(event.done, event.total)
        elif isinstance(event, Sounded) and event.number not in self.made:
            self._stream(event.number).hear(event)
        elif isinstance(event, Made):
            self._finish(event)

    def unwanted(self) -> set[int]:
        """Return the songs that were cancelled, and are not made yet."""
        left = (number for number in range(len(self._outputs)) if number not in self.made)
        return {number for number in left if (one := self._outputs[number]) and one.cancelled and one.cancelled()}

    def close(self) -> None:
        """End the streams of songs that are not finished."""
        while self._streams:
            self._streams.popitem()[1].close()

    def _progress(self, is_sound: bool) -> Progress:
        if isinstance(self._work, Composition) and is_sound:
            return self._work.decode_progress
        return self._work.progress

    def _stream(self, number: int) -> "SongStream":
        if number not in self._streams:
            self._streams[number] = SongStream(self._output(number))
        return self._streams[number]

    def _finish(self, event: Made) -> None:
        song = written(event, self._output(event.number).path)
        if stream := self._streams.pop(event.number, None):
            stream.close()
        self.made |= {event.number}
        self._work.finished(event.number, song)

    def _output(self, number: int) -> SongOutput:
        output = self._outputs[number]
        assert output is not None, "nothing was asked for of this one"
        return output


class SongStream:
    """The sound of one song while it is made."""

    def __init__(self, output: SongOutput):
        self._opened = ExitStack()
        self._listener: Listener | None = self._opened.enter_context(output.live())
        self._heard = 0

    def hear(self, event: Sounded) -> None:
        new = event.samples[:, max(0, self._heard - event.start) :]
        if self._listener and new.shape[1]:
            self._listener(torch.from_numpy(new))
        self._heard = max(self._heard, event.start + event.samples.shape[1])

    def close(self) -> None:
        self._opened.close()


@contextmanager
def receiving(work: Composition | Redecoding) -> Iterator[Receiver]:
    receiver = Receiver(work)
    try:
        yield receiver
    finally:
        receiver.close()


def written(event: Made, path: Path) -> GeneratedSong:
    """Write the files of a song, all of them or none. Raises StorageError."""
    contents = event.files
    others = receipt_path(path), codes_path(path)
    with disk_explained(path), ExitStack() as files:
        for one in (*others, path):  # left in reverse order: receipt and codes never stand alone
            files.enter_context(replaced_file(one)).write_bytes(contents[one.name])
    return GeneratedSong(path, Receipt.from_json(contents[others[0].name].decode()), event.is_audible)
