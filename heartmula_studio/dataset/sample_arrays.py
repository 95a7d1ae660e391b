"""Songs that a table holds as samples, not as a file: `{"array": […], "sampling_rate": 48000}`."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile

from heartmula_studio.dataset.track_columns import RATE_COLUMNS

_MAX_CHANNELS = 8
_ARRAY_KEYS = ("array", "samples", "waveform")


def wave_file(cell: Any, row: Mapping[str, Any]) -> pa.Buffer | str | None:
    """A WAV file of the samples in a cell, at the rate it or its row gives; a reason why not; None for another cell.

    Samples are [T], [channels, T] or [T, channels]: the longer side is time.
    """
    record = cell if isinstance(cell, Mapping) else {}
    named = next((record[key] for key in _ARRAY_KEYS if key in record), None)
    samples = cell if isinstance(cell, np.ndarray) else named
    if not isinstance(samples, np.ndarray):
        return None
    rate_hz = next((value for key in RATE_COLUMNS if (value := record.get(key) or row.get(key))), None)
    if not isinstance(rate_hz, int | float) or not 1 <= rate_hz < 2**31:
        return f"Its audio is samples, and no column says at what rate ({RATE_COLUMNS[0]})."
    samples = samples if samples.ndim == 1 or samples.shape[0] > samples.shape[-1] else samples.T
    if samples.size == 0 or samples.ndim > 2 or samples.ndim == 2 and samples.shape[1] > _MAX_CHANNELS:
        return f"Its audio is no sound: its samples have the shape {list(samples.shape)}."
    if samples.dtype.kind in "iu":
        is_short = np.abs(samples.astype(np.int64)).max() < 2**15
        samples, subtype = samples.astype(np.int16 if is_short else np.int32), "PCM_16" if is_short else "PCM_32"
    else:
        samples, subtype = samples.astype(np.float32), "FLOAT"
    file = io.BytesIO()
    soundfile.write(file, samples, int(rate_hz), format="WAV", subtype=subtype)
    return pa.py_buffer(file.getbuffer())
