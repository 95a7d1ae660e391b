"""Edits of tracks, as a person asks for them. Nothing here touches the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.store.names import checked_tags, name_key
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.songs import checked_ending, checked_rights, find_places, with_status

SEPARATORS = frozenset(",<>")  # between tags of a prompt, and around all of them


@dataclass(frozen=True)
class TrackChange:
    """What is to change of a track; what is None or empty stays.

    Tags to add or remove, and the trigger word, which goes before all others, change the track's own tags. Where it has
    none, these are the dataset's styles first.
    """

    filename: str
    caption: str | None = None
    tags: Sequence[str] | None = None
    rights: str | None = None
    ending: str | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    trigger_word: str = ""


def with_track_changes(dataset: Dataset, changes: Sequence[TrackChange]) -> Dataset:
    """Change many tracks. Raises NotFoundError, and InvalidInputError that names the track where there are several."""
    tracks, places = [*dataset.audio_files], find_places(dataset, [change.filename for change in changes])
    for change, place in zip(changes, places, strict=True):
        try:
            tracks[place] = _changed(tracks[place], change, dataset.styles)
        except InvalidInputError as error:
            if len(changes) == 1:
                raise
            raise InvalidInputError(f"{change.filename}: {error.message}", f"{error.hint} Nothing changed.") from error
    return with_status(replace(dataset, audio_files=tuple(tracks)))


def _changed(track: AudioFile, change: TrackChange, styles: tuple[str, ...]) -> AudioFile:
    return replace(
        track,
        caption=track.caption if change.caption is None else checked_lyrics(change.caption),
        tags=_changed_tags(track.tags, change, styles),
        rights=track.rights if change.rights is None else checked_rights(change.rights),
        ending=track.ending if change.ending is None else checked_ending(change.ending),
    )


def _changed_tags(tags: tuple[str, ...], change: TrackChange, styles: tuple[str, ...]) -> tuple[str, ...]:
    if change.tags is not None:
        tags = checked_tags(change.tags, "tags")
    if not (change.add_tags or change.remove_tags or change.trigger_word):
        return tags
    gone = set(map(name_key, checked_tags(change.remove_tags, "tags")))
    kept = [tag for tag in tags or styles if name_key(tag) not in gone]
    return checked_tags([*_checked_trigger(change.trigger_word), *kept, *change.add_tags], "tags")


def _checked_trigger(word: str) -> tuple[str, ...]:
    if SEPARATORS & set(word):
        raise InvalidInputError(f"The trigger word is {word!r}.", "Use one tag, without commas, < or >.")
    return checked_tags([word], "tags")
