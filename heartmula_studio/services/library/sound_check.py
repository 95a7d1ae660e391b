"""Looking over a dataset's recordings before they are learnt from: what to cut, export again or leave out."""

import math
from collections.abc import Iterator

from heartmula_studio.codec.sound_check import SILENCE_DB, Sound, likeness, measure_sound
from heartmula_studio.errors import AudioError, NotFoundError
from heartmula_studio.files.public_text import public
from heartmula_studio.services.tasks import RunningTask
from heartmula_studio.store.datasets import Datasets
from heartmula_studio.store.task_views import CheckTask
from heartmula_studio.store.views import TrackSound

MAX_SILENCE_SEC = 2.0
MAX_DC_OFFSET = 0.01
MONO_CORRELATION, ANTIPHASE_CORRELATION = 0.9999, -0.3
QUIET_LUFS = -35.0
SAME_LIKENESS, SAME_LENGTH_SEC, SAME_LENGTH_SHARE = 0.7, 3.0, 0.02


def measure_tracks(datasets: Datasets, id: str, task: RunningTask[CheckTask]) -> Iterator[TrackSound]:
    """Yield what is to be said of each recording of a dataset; one that is removed meanwhile is left out.

    Raises NotFoundError, and CancelledError within moments where the task is to stop.
    """
    earlier: list[tuple[str, Sound]] = []
    for track in datasets.get(id).audio_files:
        task.begin(track.filename)
        try:
            sound = measure_sound(datasets.audio_path(id, track.filename), task.is_cancelled)
        except AudioError as error:
            yield TrackSound(track.filename, None, None, 0.0, 0.0, None, (public(error.message),))
        except NotFoundError:
            datasets.get(id)
        else:
            same_as = next((name for name, other in earlier if _are_same(sound, other)), None)
            earlier.append((track.filename, sound))
            yield _reported(track.filename, sound, same_as)


def _reported(filename: str, sound: Sound, same_as: str | None) -> TrackSound:
    return TrackSound(
        filename=filename,
        loudness_lufs=None if sound.loudness_lufs is None else round(sound.loudness_lufs, 1),
        peak_db=round(20 * math.log10(sound.peak), 1) if sound.peak > 0 else None,
        silence_before_sec=sound.silence_before_sec,
        silence_after_sec=sound.silence_after_sec,
        same_as=same_as,
        warnings=tuple(_warnings(sound, same_as)),
    )


def _are_same(one: Sound, other: Sound) -> bool:
    """Whether two files hold one recording, in whatever format."""
    allowed_sec = max(SAME_LENGTH_SEC, SAME_LENGTH_SHARE * one.duration_sec)
    if abs(one.duration_sec - other.duration_sec) > allowed_sec:
        return False
    return likeness(one.fingerprint, other.fingerprint) >= SAME_LIKENESS


def _warnings(sound: Sound, same_as: str | None) -> Iterator[str]:
    if same_as is not None:
        yield f"The same recording as {same_as}: it would be learnt twice."
    for silence_sec, place in ((sound.silence_before_sec, "begins"), (sound.silence_after_sec, "ends")):
        if silence_sec > MAX_SILENCE_SEC:
            yield f"It {place} with {silence_sec:.1f} s below {SILENCE_DB:g} dB: cut them off."
    if sound.is_clipped:
        yield "It is clipped: peaks are cut flat. Use a copy with a lower level."
    if sound.dc_offset > MAX_DC_OFFSET:
        yield f"It has a DC offset of {100 * sound.dc_offset:.1f} %: remove it with a high-pass filter."
    if sound.channels > 1 and sound.correlation < ANTIPHASE_CORRELATION:
        yield "Left and right cancel each other (opposite phase): invert one of them."
    if sound.channels == 1 or sound.correlation > MONO_CORRELATION:
        yield "It is mono: songs will be, too, if many are."
    if sound.loudness_lufs is None or sound.loudness_lufs < QUIET_LUFS:
        yield "It is very quiet."
