"""Cut the demo clips from the recordings that are kept out of training.

`python -m recipes.nano.clips --work DIR` writes heartmula_studio/assets/clips/: `style` holds clips in one style that
the bundled language model has never heard, `other` a clip in another style, `clips.json` lists both.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from recipes.nano.manifest import write_atomically
from recipes.nano.recordings import Recording, recordings

CLIPS = Path(__file__).parents[2] / "heartmula_studio" / "assets" / "clips"
CLIP_SEC = 24
FADE_SEC = 0.05
# Leaves room for Vorbis, which overshoots by up to 15 % on this music.
PEAK = 0.8
# 0 is the best quality and 1 the smallest file; this gives about 105 kbit/s.
COMPRESSION_LEVEL = 0.6
LYRICS = "[instrumental]"
RIGHTS = {"style": "licensed", "other": "public_domain"}  # BSD-2-Clause, CC0


def loudest_start(waveform: Tensor, rate_hz: int) -> int:
    """The sample at which the 24 s of [samples, 2] with the most energy begin, in whole seconds."""
    seconds = len(waveform) // rate_hz
    energy = waveform[: seconds * rate_hz].reshape(seconds, -1).square().sum(1)
    return int(energy.unfold(0, min(CLIP_SEC, seconds), 1).sum(1).argmax()) * rate_hz


def cut(waveform: Tensor, rate_hz: int) -> Tensor:
    """The loudest 24 s of [samples, channels] in stereo, faded at both ends and scaled so nothing clips."""
    waveform = waveform.expand(-1, 2)
    start = loudest_start(waveform, rate_hz)
    clip = waveform[start : start + CLIP_SEC * rate_hz].clone()
    fade = torch.linspace(0, 1, int(FADE_SEC * rate_hz)).unsqueeze(1)
    clip[: len(fade)] *= fade
    clip[-len(fade) :] *= fade.flip(0)
    return clip * (PEAK / clip.abs().max())


def write_ogg(clip: Tensor, rate_hz: int, path: Path) -> None:
    """Write [samples, 2] second by second: libsndfile's Vorbis encoder overflows its stack on long writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(
        path, "w", rate_hz, 2, format="OGG", subtype="VORBIS", compression_level=COMPRESSION_LEVEL
    ) as file:
        for block in clip.split(rate_hz):
            file.write(block.numpy())


def make_clip(recording: Recording, packages: Path) -> str:
    """Write one recording's clip and return its path inside the folder of clips."""
    (source,) = recording.open(packages)
    samples, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    name = f"{recording.demo}/{recording.work.id}.ogg"
    write_ogg(cut(torch.from_numpy(samples), rate_hz), rate_hz, CLIPS / name)
    return name


def common_tags(group: Iterable[Recording]) -> str:
    """The tags all recordings share, in the first one's order."""
    first, *rest = [recording.work.tags for recording in group]
    return ", ".join(tag for tag in first if all(tag in tags for tags in rest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that recipes.nano.fetch filled")
    packages = parser.parse_args().work / "x"
    clips = {}
    for demo in ("style", "other"):
        group = [recording for recording in recordings() if recording.demo == demo]
        files = [make_clip(recording, packages) for recording in group]
        clips[demo] = {"tags": common_tags(group), "lyrics": LYRICS, "rights": RIGHTS[demo], "files": files}
    write_atomically(json.dumps(clips, indent=2) + "\n", CLIPS / "clips.json")


if __name__ == "__main__":
    main()
