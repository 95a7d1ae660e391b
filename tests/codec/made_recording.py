"""What a recording of the corpus is made from, and how it is described."""

from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 2
CD, DAT = 44100 * SECONDS, 48000 * SECONDS
SOURCES = {
    "cd": (44100, 2, "PCM_16"),
    "mono": (44100, 1, "PCM_16"),
    "dat": (48000, 2, "PCM_16"),
    "r8": (8000, 1, "PCM_16"),
    "r11": (11025, 2, "PCM_16"),
    "r16": (16000, 1, "PCM_16"),
    "r22": (22050, 2, "PCM_16"),
    "r24": (24000, 2, "PCM_16"),
    "r32": (32000, 2, "PCM_16"),
    "r96": (96000, 2, "PCM_24"),
    "deep": (44100, 2, "PCM_24"),
    "deepest": (44100, 2, "PCM_32"),
    "float": (44100, 2, "FLOAT"),
    "double": (44100, 2, "DOUBLE"),
    "bytes": (44100, 2, "PCM_U8"),
    "six": (48000, 6, "PCM_16"),
}
TOOLS = ("ffmpeg", "lame", "flac", "metaflac", "oggenc", "opusenc", "mpg123", "sox", "gst-launch-1.0")
GST = "gst-launch-1.0 -q filesrc location={source}.wav ! wavparse ! audioconvert ! {chain} ! filesink location=$OUT"
FF = "ffmpeg -v error -y -i"


@dataclass(frozen=True)
class Recording:
    """`samples` are to be read, per channel; None: as many as FFmpeg reads. `change` edits what the command wrote.

    `source` is what it must sound like, without a delay; None where encoders leave one that no header tells.
    `by_ffmpeg` is whether FFmpeg 5.1 reads it right, so that its samples are the judge.
    """

    name: str
    command: str
    samples: int | None
    source: str | None = "cd"
    change: Callable[[bytes], bytes] = bytes
    by_ffmpeg: bool = True

    @property
    def tools(self) -> tuple[str, ...]:
        return tuple(tool for tool in TOOLS if tool in self.command)
