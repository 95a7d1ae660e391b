"""How soon a song is heard, and whether a player would have to wait for more:

    python -m benchmarks.streaming

starts a server on the bundled base, asks for songs one after the other and follows `GET /generate/{id}/stream`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.studio_process import running_studio
from heartmula_studio.codec.pcm import CHANNELS, HEADER_BYTES, SAMPLE_BYTES

TIMEOUT_SEC = 600
RATE_OFFSET = 24


@dataclass(frozen=True)
class Heard:
    """Seconds from the request: to the first sound, and to all of it; of sound; and the longest wait for more of it."""

    first_sec: float
    all_sec: float
    sound_sec: float
    waited_sec: float

    def __str__(self) -> str:
        return (
            f"first sound after {self.first_sec:.2f} s, all {self.sound_sec:.1f} s of it after {self.all_sec:.1f} s; "
            f"a player waits for {self.waited_sec:.2f} s at most"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each song (default: %(default)s)")
    parser.add_argument("--songs", type=int, default=3, help="the first one loads the model (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder) / "data") as studio:
        client = httpx.Client(base_url=studio.url, timeout=TIMEOUT_SEC)
        for seed in range(arguments.songs):
            body = {"tags": "electronic, fast", "duration_sec": arguments.seconds, "seed": seed}
            print(f"song {seed + 1}: {hear(client, body)}", flush=True)


def hear(client: httpx.Client, body: dict) -> Heard:
    """Ask for a song, and listen as a player that begins with the first sound."""
    began = time.perf_counter()
    song = client.post("/generate/music", json=body).raise_for_status().json()
    first, sound, waited = 0.0, 0.0, 0.0
    for now, sound_sec in arrivals(client, song["id"]):
        first = first or now
        waited = max(waited, now - first - sound)
        sound = sound_sec
    return Heard(first - began, time.perf_counter() - began, sound, waited)


def arrivals(client: httpx.Client, song_id: str) -> Iterator[tuple[float, float]]:
    """Yield when sound came, and how many seconds of it are there then."""
    received, rate_hz = b"", 0
    with client.stream("GET", f"/generate/{song_id}/stream") as answer:
        answer.raise_for_status()
        num_bytes = -HEADER_BYTES
        for chunk in answer.iter_raw():
            received, num_bytes = received[:HEADER_BYTES] + chunk, num_bytes + len(chunk)
            rate_hz = rate_hz or int.from_bytes(received[RATE_OFFSET : RATE_OFFSET + 4], "little")
            if num_bytes > 0:
                yield time.perf_counter(), num_bytes / (CHANNELS * SAMPLE_BYTES * rate_hz)


if __name__ == "__main__":
    main()
