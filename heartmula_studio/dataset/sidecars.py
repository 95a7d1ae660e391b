"""Texts and records that lie beside audio files, under the names that people and other trainers give them.

Of `song.mp3` are `song.txt`, `song.lrc`, `song.en.srt`, `song.mp3.txt` and `song.json`; `song.lyrics.txt`,
`song_lyrics.txt`, `song.lyrics` and `lyrics/song.txt`, which say what they hold, and so for tags, captions and rights;
and `lyrics.txt` in the folder of a single song.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from heartmula_studio.dataset.metadata_files import Row, first_text, reading
from heartmula_studio.dataset.source_files import Skip, SourceFile, read_text
from heartmula_studio.dataset.track_columns import (
    DESCRIPTION_COLUMNS,
    LYRICS_COLUMNS,
    NAME_COLUMNS,
    RIGHTS_COLUMNS,
    TAGS_COLUMNS,
    TrackWords,
    column_key,
    is_list_of_tags,
)
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import DecodedLyrics, read_lyrics_file

TEXT_KINDS = ("lyrics", "lyric", *TAGS_COLUMNS, *DESCRIPTION_COLUMNS, *RIGHTS_COLUMNS)
_SAYS_KIND = re.compile(rf"(.+)[._ -]({'|'.join(TEXT_KINDS)}|text)", re.IGNORECASE)
_SAYS_LANGUAGE = re.compile(r"(.+)\.[a-z]{2,3}(?:[-_][a-z]{2,4})?", re.IGNORECASE)

_Text = tuple[str, SourceFile]
"""A file, and what its name says it holds."""


def key_of(name: str) -> str:
    """What names have in common that differ only in case or Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


@dataclass(frozen=True)
class SidecarName:
    """Whose text it is, by a song's stem or file name; what it holds, as a column's name, or "" where it is silent."""

    owner: str
    kind: str = ""


def sidecar_names(filename: str) -> Iterator[SidecarName]:
    """What the name of a text may mean, the likeliest first: `a_lyrics.txt` is of `a_lyrics.mp3`, else of `a.mp3`."""
    stem, suffix = PurePosixPath(filename).stem, PurePosixPath(filename).suffix.lower()
    if suffix[1:] in TEXT_KINDS:
        yield SidecarName(stem, suffix[1:])
    elif suffix in LYRICS_SUFFIXES:
        yield SidecarName(stem)
        if said := _SAYS_KIND.fullmatch(stem):
            yield SidecarName(said[1], said[2].lower())
        if language := _SAYS_LANGUAGE.fullmatch(stem):
            yield SidecarName(language[1])


class Sidecars:
    """What the files beside the songs of an import say of them."""

    def __init__(self, files: Iterable[SourceFile], songs: Sequence[SourceFile], skip: Skip):
        """files: those that are no audio and no table of several songs. What cannot be read is told to `skip`."""
        self._used: set[str] = set()
        self._skip = skip
        self._songs_in = Counter(key_of(song.folder) for song in songs)
        self._folders: dict[str, set[str]] = {}  # of the songs that an owner may be
        for song in songs:
            for owner in _owners(song):
                self._folders.setdefault(owner, set()).add(key_of(song.folder))
        self._files = list(files)
        self._beside: dict[tuple[str, str], list[_Text]] = {}  # by folder and owner
        self._elsewhere: dict[str, list[_Text]] = {}  # by owner
        for file in self._files:
            self._place(file)

    def is_of_a_song(self, file: SourceFile) -> bool:
        """Whether it lies beside a song and bears its name."""
        return any(file is beside for texts in self._beside.values() for _, beside in texts)

    def said_of(self, audio: SourceFile, stated: TrackWords) -> tuple[str, TrackWords]:
        """The name a track is known by, and what the files beside it add to what is stated of it."""
        fields: dict[str, Any] = {}
        lyrics: list[SourceFile] = []
        for kind, file in self._files_of(audio):
            with self._told(file):
                if file.suffix == ".json":
                    fields = {**fields, **self._record(file)}
                elif kind and kind not in LYRICS_COLUMNS:
                    fields.setdefault(kind, self._take(file).strip())
                elif not kind and file.suffix == ".txt" and is_list_of_tags(text := _read(file).text):
                    self._used.add(file.name)
                    fields.setdefault(DESCRIPTION_COLUMNS[0], text)
                else:
                    lyrics.append(file)
        row = Row.of("", fields)
        words = stated.or_else(row.words)
        for file in lyrics:
            if not words.lyrics:
                with self._told(file):
                    words = words.or_else(TrackWords(self._take(file)))
        return first_text(row.values, NAME_COLUMNS) or audio.base, words

    def unused(self) -> Iterator[SourceFile]:
        return (file for file in self._files if file.name not in self._used)

    def why_unused(self, file: SourceFile) -> str:
        if not list(sidecar_names(file.base)):
            return "It is neither audio of a kind that is read nor metadata."
        folders = set().union(*(self._folders.get(key_of(name.owner), set()) for name in sidecar_names(file.base)))
        if len(folders) > 1 and key_of(file.folder) not in folders:
            return "Songs in several folders have this name."
        return "There are other lyrics for its song." if folders else "No song has this name."

    def _place(self, file: SourceFile) -> None:
        folder = key_of(file.folder)
        names = [SidecarName(file.stem)] if file.suffix == ".json" else list(sidecar_names(file.base))
        for name in names:
            if folder in self._folders.get(key_of(name.owner), ()):
                self._beside.setdefault((folder, key_of(name.owner)), []).append((name.kind, file))
                return
        if key_of(file.stem) in TEXT_KINDS and self._songs_in[folder] == 1:
            self._beside.setdefault((folder, ""), []).append((key_of(file.stem), file))
        elif file.suffix != ".json":
            in_folder = key_of(PurePosixPath(file.folder).name)
            for name in names:
                kind = name.kind or (in_folder if in_folder in TEXT_KINDS else "")
                self._elsewhere.setdefault(key_of(name.owner), []).append((kind, file))

    def _files_of(self, audio: SourceFile) -> list[_Text]:
        """Those beside the song, then, if no song elsewhere has its name, the only one of a kind in other folders.

        Of lyrics come first those that say that they are, and those with times.
        """
        folder, owners = key_of(audio.folder), _owners(audio)
        found = [text for owner in (*owners, "") for text in self._beside.get((folder, owner), ())]
        elsewhere = [text for owner in owners for text in self._elsewhere.get(owner, ())]
        if len(self._folders.get(owners[0], ())) > 1:
            elsewhere = []
        count = Counter((kind, file.suffix) for kind, file in elsewhere)
        alone = [(kind, file) for kind, file in elsewhere if count[kind, file.suffix] == 1]
        return sorted(found, key=_rank) + sorted(alone, key=_rank)

    @contextmanager
    def _told(self, file: SourceFile) -> Iterator[None]:
        """Leave out a file that cannot be read, and say why: its song is there all the same."""
        try:
            yield
        except InvalidInputError as error:
            if file.name not in self._used:
                self._skip(file.name, error.message)
            self._used.add(file.name)

    def _record(self, file: SourceFile) -> dict[str, Any]:
        with reading(file):
            beside = json.loads(read_text(file))
            if not isinstance(beside, dict) or not beside:
                return {}
            Row.of("", beside)  # raises where it is nested too deeply
        self._used.add(file.name)
        return {column_key(name): value for name, value in beside.items()}

    def _take(self, file: SourceFile) -> str:
        decoded = _read(file)
        self._used.add(file.name)
        if decoded.question:
            self._skip(file.name, decoded.question)
        return decoded.text


def _read(file: SourceFile) -> DecodedLyrics:
    with reading(file):
        return read_lyrics_file(file.path)


def _owners(song: SourceFile) -> tuple[str, str]:
    return key_of(song.stem), key_of(song.base)


def _rank(text: _Text) -> tuple[bool, int]:
    kind, file = text
    return not kind, LYRICS_SUFFIXES.index(file.suffix) if file.suffix in LYRICS_SUFFIXES else -1
