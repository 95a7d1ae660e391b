"""Progress bars for what takes long."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from heartmula_studio.codec.control import Progress
from heartmula_studio.codec.pcm import pcm_16, wave_header
from heartmula_studio.finetune.events import StepEvent
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.engine import DECODING, Engine
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_writer import GeneratedSong, Listener


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Progress]:
    """Yield a callback that shows (done, total) as a bar on standard error."""
    with tqdm(desc=label, unit=unit, dynamic_ncols=True) as bar:

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


def make_song(
    engine: Engine,
    request: SongRequest,
    path: Path,
    decoding: DecodeSettings = DECODING,
    listener: Listener | None = None,
) -> GeneratedSong:
    """Make a song with a bar for its frames, and one for turning them into sound."""
    with (
        progress_bar(f"Composing {path.name}", "frame") as frames,
        progress_bar(f"Playing {path.name}", "window") as windows,
    ):
        return engine.make_song(request, path, frames, decode_progress=windows, decoding=decoding, listener=listener)
