"""The songs of a dataset's record: finding, adding and changing them. Nothing here touches the disk."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError, UploadTooLargeError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.cleaning import original_of
from heartmula_studio.store.names import name_key, split_suffix
from heartmula_studio.store.records import AudioFile, Dataset, DatasetStatus, Ending, Rights
from heartmula_studio.store.views import LengthCount, Validation

RIGHTS: tuple[Rights, ...] = get_args(Rights)
ENDINGS: tuple[Ending, ...] = get_args(Ending)

LENGTHS_SEC = (10.0, 30.0, 60.0, 120.0, 180.0, 240.0, 360.0, 600.0)
MOST_SHOWN, MOST_CHARS = 8, 100  # lines of a report, and characters of each
MOST_PROBLEMS = 1000  # in the report on a dataset


def stem_of(song: AudioFile) -> str:
    return split_suffix(song.filename)[0]


def find_song(dataset: Dataset, filename: str) -> AudioFile:
    """Return the song of this name in any case and Unicode form. Raises NotFoundError."""
    return dataset.audio_files[find_places(dataset, [filename])[0]]


def find_places(dataset: Dataset, filenames: Sequence[str]) -> list[int]:
    """Return the numbers of songs by their names, in any case and Unicode form. Raises NotFoundError."""
    wanted, songs = set(filenames), dataset.audio_files
    places = {song.filename: place for place, song in enumerate(songs) if song.filename in wanted}
    if unknown := wanted - places.keys():  # most ask by the names as they are, which takes a tenth of the time
        keys = {name_key(song.filename): place for place, song in enumerate(songs)}
        places |= {name: keys[name_key(name)] for name in unknown if name_key(name) in keys}
    for name in filenames:
        if name not in places:
            raise NotFoundError(f"There is no song {name!r} in the dataset {dataset.name!r}.", "List its files.")
    return [places[name] for name in filenames]


def find_by_stem(dataset: Dataset, stem: str) -> AudioFile | None:
    key = name_key(stem)
    return next((song for song in dataset.audio_files if name_key(stem_of(song)) == key), None)


def require_room(dataset: Dataset, max_files: int) -> None:
    """Raise UploadTooLargeError where a dataset holds all the songs it may."""
    if len(dataset.audio_files) >= max_files:
        raise UploadTooLargeError(
            f"The dataset {dataset.name!r} holds {counted(max_files, 'file')}, which is the limit.",
            "Remove some, use another dataset, or raise HEARTMULA_MAX_FILES.",
        )


def require_new(dataset: Dataset, sha256: str) -> None:
    """Raise ConflictError where the same file is in the dataset, whatever its name."""
    for song in dataset.audio_files:
        original = original_of(song)
        if sha256 in (song.sha256, original and original.sha256):
            raise ConflictError(
                f"This is the same file as {song.filename!r} in the dataset {dataset.name!r}.",
                "Nothing was added. Remove that one first to add it under another name.",
            )


def checked_rights(rights: str) -> Rights:
    """Raises InvalidInputError for a note that is none of the four."""
    for known in RIGHTS:
        if rights == known:
            return known
    raise InvalidInputError(f"The rights are {rights!r}.", f"Allowed: {', '.join(RIGHTS)}.")


def checked_ending(ending: str) -> Ending:
    """Raises InvalidInputError for a word that is none of the three."""
    for known in ENDINGS:
        if ending == known:
            return known
    raise InvalidInputError(f"The ending is {ending!r}.", f"Allowed: {', '.join(ENDINGS)}.")


def with_song(dataset: Dataset, song: AudioFile, own_lyrics: str = "") -> Dataset:
    """Add a song; where it came without lyrics, a text that waited for it becomes them, else those inside the file."""
    key = name_key(stem_of(song))
    found = [text for stem, text in dataset.waiting_texts.items() if name_key(stem) == key]
    others = {stem: text for stem, text in dataset.waiting_texts.items() if name_key(stem) != key}
    if not song.caption:
        song = replace(song, caption=found[0] if found else own_lyrics)
    return with_status(replace(dataset, audio_files=(*dataset.audio_files, song), waiting_texts=others))


def with_waiting_text(dataset: Dataset, stem: str, text: str, max_texts: int) -> Dataset:
    """Remember lyrics whose song has not come yet, in place of earlier ones. Raises UploadTooLargeError."""
    others = {known: text for known, text in dataset.waiting_texts.items() if name_key(known) != name_key(stem)}
    if len(others) >= max_texts:
        raise UploadTooLargeError(
            f"{len(others)} texts wait for their songs in the dataset {dataset.name!r}.",
            "Add those songs first; a text belongs to the song of the same name.",
        )
    return replace(dataset, waiting_texts={**others, stem: text})


def with_changed(dataset: Dataset, filename: str, change: Callable[[AudioFile], AudioFile]) -> Dataset:
    """Change one song. Raises NotFoundError."""
    (place,), songs = find_places(dataset, [filename]), [*dataset.audio_files]
    songs[place] = change(songs[place])
    return with_status(replace(dataset, audio_files=tuple(songs)))


def without(dataset: Dataset, filename: str) -> Dataset:
    """Remove one song. Raises NotFoundError."""
    old = find_song(dataset, filename)
    return with_status(replace(dataset, audio_files=tuple(song for song in dataset.audio_files if song is not old)))


def validation(dataset: Dataset) -> Validation:
    """Say whether a dataset can be trained on, and what a person should look at."""
    count, needed = len(dataset.audio_files), dataset.minimum_files
    problems = [f"{song.filename}: {song.error}" for song in dataset.audio_files if song.error]
    problems += [f"The lyrics {stem!r} have no song." for stem in dataset.waiting_texts]
    problems += [
        f"{song.filename}: not taken for lyrics: {shown(song.not_lyrics)}"
        for song in dataset.audio_files
        if song.not_lyrics
    ]
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"There are {len(problems) - MOST_PROBLEMS:,} more like these."]
    if unknown := sum(song.rights == "unknown" for song in dataset.audio_files):
        problems.append(f"The rights of {unknown} songs are not stated.")
    return Validation(count >= needed, count, needed, f"{count} of {needed} files", tuple(problems))


def length_histogram(dataset: Dataset) -> tuple[LengthCount, ...]:
    """Count the songs by length, from the shortest kind that there is to the longest."""
    edges = (0.0, *LENGTHS_SEC, math.inf)
    lengths = [song.duration_sec for song in dataset.audio_files]
    counts = [(low, high, sum(low <= sec < high for sec in lengths)) for low, high in pairwise(edges)]
    filled = [number for number, (_, _, count) in enumerate(counts) if count]
    kinds = counts[filled[0] : filled[-1] + 1] if filled else []
    return tuple(LengthCount(low, high if math.isfinite(high) else None, count) for low, high, count in kinds)


def shown(removed: Sequence[str]) -> str:
    """The lines that were left out of lyrics, for a person to check; the first ones where they are many."""
    more = len(removed) - MOST_SHOWN
    lines = " / ".join(line[:MOST_CHARS] for line in removed[:MOST_SHOWN])
    return f"{lines} and {more} more." if more > 0 else f"{lines}."


def with_status(dataset: Dataset) -> Dataset:
    """Bring the status up to date; while a dataset is processed it stays `processing`."""
    return dataset if dataset.status == "processing" else replace(dataset, status=_status(dataset))


def with_processing(dataset: Dataset, is_processing: bool) -> Dataset:
    return replace(dataset, status="processing" if is_processing else _status(dataset))


def _status(dataset: Dataset) -> DatasetStatus:
    if any(song.error for song in dataset.audio_files):
        return "error"
    if len(dataset.audio_files) < dataset.minimum_files:
        return "draft"
    return "processed" if all(song.frames is not None for song in dataset.audio_files) else "ready"
