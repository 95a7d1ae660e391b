"""Progress bars for what takes long."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from heartmula_studio.codec.audio_file import written_suffix
from heartmula_studio.codec.control import Progress
from heartmula_studio.codec.pcm import pcm_16, wave_header
from heartmula_studio.finetune.events import StepEvent
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.engine import DECODING, Engine
from heartmula_studio.generate.kept_codes import NOTHING_KEPT, KeptCodes
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_writer import GeneratedSong, Listener
from heartmula_studio.generate.takes import SongOutput


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Progress]:
    """Yield a callback that shows (done, total) as a bar on standard error; bytes ("B") in kB, MB and so on."""
    with tqdm(desc=label, unit=unit, unit_scale=unit == "B", dynamic_ncols=True) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


@contextmanager
def training_progress() -> Iterator[Callable[[StepEvent], None]]:
    """Yield a callback for the steps of a run; the bar shows the loss."""
    with tqdm(desc="Learning", unit="step", dynamic_ncols=True) as bar:

        def on_step(event: StepEvent) -> None:
            bar.total = event.total_steps
            bar.set_postfix(loss=f"{event.loss:.4f}", refresh=False)
            bar.update(event.step - bar.n)

        yield on_step


def play_to_stdout(sample_rate_hz: int) -> Listener:
    """Begin a WAV on standard output, and return what writes stretches [2, n] of sound to it."""
    sys.stdout.buffer.write(wave_header(sample_rate_hz))

    def play(stretch: Tensor) -> None:
        sys.stdout.buffer.write(pcm_16(stretch))
        sys.stdout.buffer.flush()

    return play


def make_song(engine: Engine, request: SongRequest, path: Path, decoding: DecodeSettings = DECODING) -> GeneratedSong:
    """Make a song with a bar for its frames, and one for turning them into sound."""
    [song] = make_takes(engine, [request], path, decoding)
    return song


def make_takes(
    engine: Engine,
    requests: Sequence[SongRequest],
    path: Path,
    decoding: DecodeSettings = DECODING,
    listener: Listener | None = None,
    kept: KeptCodes = NOTHING_KEPT,
) -> list[GeneratedSong]:
    """Make songs side by side, as `song-1.wav` and so on where they are several; `listener` hears the first.

    They go on from what is `kept` of another song, and end as it does.
    """
    paths = numbered(path, len(requests)) if len(requests) > 1 else [path]
    outputs = [SongOutput(one) for one in paths]
    return _make(engine, requests, outputs, decoding, listener, kept)


def make_until_end(
    engine: Engine,
    requests: Sequence[SongRequest],
    path: Path,
    listener: Listener | None = None,
    kept: KeptCodes = NOTHING_KEPT,
) -> Iterator[GeneratedSong]:
    """Make songs one after the other, as `song-1.wav` and so on, until one can be heard and ends by itself.

    `listener` hears the first; they go on from what is `kept` of another song.
    """
    seeds = [request.seed for request in requests]
    for number, (request, one) in enumerate(zip(requests, numbered(path, len(requests)), strict=True)):
        output = SongOutput(one, tried=tuple(seeds[: number + 1]))
        [song] = _make(engine, [request], [output], DECODING, None if number else listener, kept)
        yield song
        if song.receipt.ended and song.is_audible:
            return


def numbered(path: Path, count: int) -> list[Path]:
    """Return paths for several songs. Raises InvalidInputError for a suffix that cannot be written."""
    suffix = written_suffix(path)
    return [path.with_name(f"{path.name[: -len(suffix)]}-{number}{suffix}") for number in range(1, count + 1)]


def _make(
    engine: Engine,
    requests: Sequence[SongRequest],
    outputs: Sequence[SongOutput],
    decoding: DecodeSettings,
    listener: Listener | None,
    kept: KeptCodes,
) -> list[GeneratedSong]:
    """Make songs side by side with a bar for their frames, and one for turning them into sound."""
    name = outputs[0].path.name
    heard = [replace(outputs[0], live=lambda: nullcontext(listener)), *outputs[1:]]
    with (
        progress_bar(f"Composing {name}", "frame") as frames,
        progress_bar(f"Playing {name}", "window") as windows,
    ):
        made = engine.make_takes(requests, heard, frames, decode_progress=windows, decoding=decoding, kept=kept)
    return [song for song in made if song]
