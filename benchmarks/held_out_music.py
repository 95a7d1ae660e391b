"""Music that nobody tuned to: clips of 30 s from Debian packages, by style, for measurements only.

Downloaded and unpacked without installing. What may be played and measured may not always be built on: nothing of it is
bundled, and nothing that ships learns from it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import soundfile

from recipes.nano.fetch import fetch

CLIP_SEC = 30.0
LEARNT = 6  # songs of each style that are learnt from; the others judge
SUFFIXES = (".ogg", ".opus", ".flac", ".wav", ".mp3")

# Stems of each style's songs by package: the first six are learnt from.
STYLES: dict[str, dict[str, tuple[str, ...]]] = {
    "orchestral": {
        "wesnoth-1.16-music": (
            *("battle-epic", "heroes_rite", "loyalists", "northerners", "the_king_is_dead", "vengeful"),
            *("siege_of_laurelmor", "the_dangerous_symphony", "underground", "legends_of_the_north"),
            *("breaking_the_chains", "casualties_of_war"),
        )
    },
    "electronic": {
        "noiz2sa-data": ("stg0", "stg1", "stg3"),
        "titanion-data": ("ttn1",),
        "rrootage-data": ("stg_a",),
        "gunroar-data": ("gr1", "gr0", "gr2", "gr3"),
        "a7xpg-data": ("bgm1", "bgm2", "bgm3"),
    },
    "metal": {
        "ufoai-music": (
            *("PsymongR1", "Marine01", "MarineFireFight", "MarineIndustrial", "AlexFightmare", "MarineUrbanWarfare"),
            *("PsymongR2", "Marine02", "MarineAlienRaid", "MarineBacktheAttack", "MarineStrikingIntoTheUnknown"),
            "PsymongR3",
        )
    },
}


def fetched_clips(work: Path) -> dict[str, list[Path]]:
    """Download the packages into `work` where they are not there; return the clips of each style, in order."""
    clips = {}
    for style, packages in STYLES.items():
        songs = [song for package, stems in packages.items() for song in find_songs(fetch(package, work), stems)]
        clips[style] = cut_clips(songs, work / "clips" / style)
    return clips


def given_clips(folder: Path) -> dict[str, list[Path]]:
    """Return the recordings in each subfolder, which is a style, in order of name."""
    return {
        style.name: sorted(path for path in style.iterdir() if path.suffix.lower() in SUFFIXES)
        for style in sorted(folder.iterdir())
        if style.is_dir()
    }


def find_songs(package: Path, stems: Sequence[str]) -> Iterator[Path]:
    """Find songs by their stems in an unpacked package and in the zip archives of games in it."""
    for archive in package.rglob("*.pk3"):
        if not (unpacked := archive.with_suffix(".unpacked")).is_dir():
            ZipFile(archive).extractall(unpacked)
    found = {path.stem: path for path in sorted(package.rglob("*")) if path.suffix in SUFFIXES}
    yield from (found[stem] for stem in stems)


def cut_clips(songs: Sequence[Path], folder: Path) -> list[Path]:
    """Cut 30 s out of the middle of each song."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, song in enumerate(songs):
        clip = folder / f"{number:02}-{song.stem}.flac"
        if not clip.exists():
            info = soundfile.info(song)
            start = max(0, round((info.duration - CLIP_SEC) / 2 * info.samplerate))
            sound, rate = soundfile.read(song, round(CLIP_SEC * info.samplerate), start, dtype="float32")
            soundfile.write(clip, sound, rate)
        clips.append(clip)
    return clips
