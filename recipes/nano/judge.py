"""Judge a base by what it makes audible: beat, tone and level of its codec and of its songs.

    python -m recipes.nano.judge --music FOLDER --base heartmula_studio/assets/nano --base CANDIDATE

`--music` holds recordings that no base has learnt from. Each goes through the codec, and the base makes songs of the
kinds in `song_figures`, some of them until they end by themselves. Prints a table, one column a base, beside what is
wanted; a candidate that is not better than the bundled base in beat, tone and level is not bundled. Takes some ten
minutes on two cores for the bundled base.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import resample

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.loudness import GATE_LUFS, LoudnessMeter
from heartmula_studio.codec.quality import log_mel_distance
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import MIN_SONG_SEC, SongRequest
from recipes.nano.audio import SAMPLE_RATE_HZ, read_stereo, write_flac
from recipes.nano.song_figures import TAGS
from recipes.nano.sound_figures import OCTAVES_HZ, beat, chroma_likeness, fade_db, octave_flatness

SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")
EXCERPT_SEC = 20.0
SONGS_PER_PROMPT = 2
LISTENED_SEC = 60.0  # of each song
LONGEST_SEC = 240.0
SHORTEST_SEC = 20.0
MUCH_FADING_DB = 15.0


@dataclass(frozen=True)
class Verdict:
    """The figures of a base, in the order of the table; `WANTED` says what each should be."""

    beat_of_music: float
    beat_of_round_trips: float
    beat_of_songs: float
    chroma_of_round_trips: float
    flatness_of_round_trips: float  # the worst octave, against the original's
    log_mel_of_round_trips: float
    level_of_songs_db: float  # LUFS, less those of the music
    songs_that_fade: int
    songs_that_end: int
    songs_under_20_sec: int
    songs: int


WANTED = {
    "beat_of_round_trips": ">= 0.40",
    "beat_of_songs": ">= 0.35",
    "chroma_of_round_trips": ">= 0.85",
    "flatness_of_round_trips": "<= 1.3",
    "log_mel_of_round_trips": "<= 0.60",
    "level_of_songs_db": "-2 to 2",
    "songs_that_fade": "0",
    "songs_that_end": "8 of 10",
    "songs_under_20_sec": "0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path, required=True, help="folder of recordings that no base has learnt from")
    parser.add_argument("--base", type=Path, action="append", required=True)
    parser.add_argument("--longest", type=float, default=LONGEST_SEC, help="seconds after which a song is cut off")
    arguments = parser.parse_args()
    music = [excerpt(path) for path in sorted(arguments.music.rglob("*")) if path.suffix.lower() in SUFFIXES]
    verdicts = {base.name: judged(base, music, arguments.longest) for base in arguments.base}
    print(as_table(verdicts))


def excerpt(path: Path) -> Tensor:
    """The middle of a recording, [2, samples]."""
    sound = read_stereo(path)
    length = min(sound.shape[1], round(EXCERPT_SEC * SAMPLE_RATE_HZ))
    return sound.narrow(1, (sound.shape[1] - length) // 2, length)


def judged(base: Path, music: Sequence[Tensor], longest_sec: float) -> Verdict:
    """Measure a base. Raises as `Engine.load`."""
    engine, codec = Engine.load(base), Codec.load(find_base(base))
    trips = [round_trip(codec, sound) for sound in music]
    wanted = SongRequest(duration_sec=longest_sec, min_duration_sec=MIN_SONG_SEC)
    prompts = [(tags, seed) for tags in TAGS for seed in range(SONGS_PER_PROMPT)]
    codes = engine.generate_together([replace(wanted, tags=tags, seed=seed) for tags, seed in prompts])
    heard = round(LISTENED_SEC * FRAME_RATE_HZ)
    songs = [sound_of(codec, song[:, :heard]) for song in codes]
    seconds = [song.shape[1] / FRAME_RATE_HZ for song in codes]
    return Verdict(
        beat_of_music=mean(map(beat, music)),
        beat_of_round_trips=mean(map(beat, trips)),
        beat_of_songs=mean(map(beat, songs)),
        chroma_of_round_trips=mean(map(chroma_likeness, trips, music)),
        flatness_of_round_trips=max(flatness_ratios(trips, music)),
        log_mel_of_round_trips=mean(
            log_mel_distance(trip, sound, SAMPLE_RATE_HZ) for trip, sound in zip(trips, music, strict=True)
        ),
        level_of_songs_db=mean(map(lufs, songs)) - mean(map(lufs, music)),
        songs_that_fade=sum(fade_db(sound) > MUCH_FADING_DB for sound in songs),
        songs_that_end=sum(length < longest_sec - 1 for length in seconds),
        songs_under_20_sec=sum(length < SHORTEST_SEC for length in seconds),
        songs=len(songs),
    )


def round_trip(codec: Codec, sound: Tensor) -> Tensor:
    """Send [2, samples] through the codec; return it with as many samples."""
    with tempfile.TemporaryDirectory() as folder:
        write_flac(sound, path := Path(folder) / "excerpt.flac")
        heard = sound_of(codec, codec.encode_file(path).codes)
    return F.pad(heard, (0, max(0, sound.shape[1] - heard.shape[1])))[:, : sound.shape[1]]


def sound_of(codec: Codec, codes: Tensor) -> Tensor:
    """Decode codes [K, T] into [2, samples] at the rate of the figures."""
    return resample(torch.cat(list(codec.decode(codes)), dim=1), codec.sample_rate_hz, SAMPLE_RATE_HZ)


def flatness_ratios(heard: Sequence[Tensor], originals: Sequence[Tensor]) -> list[float]:
    """The mean flatness of each octave, against the originals'."""
    of_heard, of_originals = (torch.tensor([octave_flatness(one) for one in some]) for some in (heard, originals))
    ratios: list[float] = (of_heard.mean(0) / of_originals.mean(0)).tolist()
    assert len(ratios) == len(OCTAVES_HZ)
    return ratios


def lufs(sound: Tensor) -> float:
    meter = LoudnessMeter(SAMPLE_RATE_HZ)
    meter.add(sound)
    measured = meter.finish().lufs
    return GATE_LUFS if measured is None else measured


def as_table(verdicts: dict[str, Verdict]) -> str:
    rows = [("figure", *verdicts, "wanted"), ("---", *["---:"] * len(verdicts), "---")]
    for field in fields(Verdict):
        values = [getattr(verdict, field.name) for verdict in verdicts.values()]
        shown = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in values]
        rows.append((field.name.replace("_", " "), *shown, WANTED.get(field.name, "")))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
