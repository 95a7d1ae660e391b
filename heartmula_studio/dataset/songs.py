"""The songs a run learns from, as a `datasets.Dataset`: one row is one whole song."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from datasets import Audio, Dataset, Features, List, Value
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.codec.track_version import TrackVersion, VersionCodes
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError, NotFoundError
from heartmula_studio.lyrics.checking import checked_lyrics

_REQUIRED = {
    "song": Value("string"),
    "tags": Value("string"),
    "lyrics": Value("string"),
    "codes": List(List(Value("int16"))),
}
_VERSION = {"speed": Value("float64"), "offset_sec": Value("float64"), "codes": _REQUIRED["codes"]}
_OPTIONAL = {
    "codec": Value("string"),
    "audio": Value("string"),
    "rights": Value("string"),
    "ends": Value("bool"),
    "versions": List(_VERSION),
}
_TEXTS = ("song", "tags", "lyrics", "codec")
_COLUMNS_HINT = f"Needed are {', '.join(_REQUIRED)}; lyrics may be empty."


def song_dataset(rows: Iterable[Mapping[str, Any]], codec_id: str | None = None) -> Dataset:
    """Build the dataset the trainer reads; store it with `save_to_disk`.

    A row has `song` (a name of its own), `tags` (a list, or text separated by commas), `lyrics` (plain or LRC),
    `codes` [K, T]; and, if all rows have them, `codec` (the id of the codec that made the codes), `audio` (path),
    `rights`, `ends` (whether the recording comes to an end, rather than being cut off) and `versions` (the same
    recording read otherwise: `speed`, `offset_sec` and `codes` of each).
    Raises InvalidInputError where a song's name or codes cannot be used, and as `check_songs` does.
    """
    rows = list(rows)
    for i, row in enumerate(rows):
        if missing := [name for name in _REQUIRED if row.get(name) is None]:
            raise InvalidInputError(f"Song {row.get('song', i + 1)} has no {', '.join(missing)}.", _COLUMNS_HINT)
    present = [name for name in _OPTIONAL if rows and all(row.get(name) is not None for row in rows)]
    features = Features({**_REQUIRED, **{name: _OPTIONAL[name] for name in present}})
    columns = {name: [row[name] for row in rows] for name in features}
    for name in {"song", *present} - {"ends", "versions"}:
        _require_unicode(name, columns[name])
    columns["tags"] = [",".join(split_tags(tags)) for tags in columns["tags"]]
    columns["lyrics"] = [checked_lyrics(lyrics) for lyrics in columns["lyrics"]]
    columns["codes"] = [_checked_codes(row["song"], row["codes"]) for row in rows]
    dataset = Dataset.from_dict(columns, features=features)
    if "audio" in present:
        # Building the column as audio straight away, or decoding it, would need torchcodec; nothing here listens to it.
        dataset = dataset.cast_column("audio", Audio(decode=False))
    return check_songs(dataset, codec_id)


def from_token_files(
    paths: Sequence[str | Path],
    lyrics: Sequence[str],
    tags: Sequence[str] | str,
    codec_id: str | None = None,
    ends: Sequence[bool | None] | None = None,
) -> Dataset:
    """Build the dataset from token files, one song each, named by the file's stem.

    lyrics: one text for each file. tags: one for each file, or one for all. ends: whether each recording comes to an
    end, None where its sound decides.
    Raises as `song_dataset` does, and CheckpointMismatchError if a file's tokens are of another frame rate.
    """
    tags = [tags] * len(paths) if isinstance(tags, str) else tags
    assert len(paths) == len(lyrics) == len(tags), (len(paths), len(lyrics), len(tags))
    rows = []
    for path, text, song_tags, song_ends in zip(paths, lyrics, tags, ends or [None] * len(paths), strict=True):
        tokens = Tokens.load(path)
        if tokens.frame_rate_hz != FRAME_RATE_HZ:
            raise CheckpointMismatchError(
                f"{path} has {tokens.frame_rate_hz} frames a second; the music model has {FRAME_RATE_HZ}.",
                "Tokenize the song again.",
            )
        row: dict[str, Any] = {"song": Path(path).stem, "tags": song_tags, "lyrics": text}
        versions = [{**asdict(other.version), "codes": other.codes.numpy()} for other in tokens.versions]
        row |= {"codes": tokens.codes, "codec": tokens.codec_id, "versions": versions}
        row["ends"] = tokens.ends if song_ends is None else song_ends
        rows.append(row)
    return song_dataset(rows, codec_id)


def load_songs(folder: str | Path, codec_id: str | None = None) -> Dataset:
    """Read a dataset stored with `save_to_disk`. Raises NotFoundError, and as `check_songs` does."""
    try:
        dataset = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise NotFoundError(
            f"{folder} holds no dataset ({error}).", "Give a folder written by save_to_disk."
        ) from error
    if not isinstance(dataset, Dataset):
        raise InvalidInputError(f"{folder} holds several splits.", "Store one split on its own.")
    return check_songs(dataset, codec_id)


def check_songs(dataset: Dataset, codec_id: str | None = None) -> Dataset:
    """Return `dataset` if training can read it.

    Raises InvalidInputError if it is empty, lacks a column or a text, holds something else where text is needed, or
    repeats a song's name; CheckpointMismatchError if its tokens come from several codecs, or from another than
    `codec_id`.
    """
    missing = [name for name in _REQUIRED if name not in dataset.column_names]
    if missing:
        raise InvalidInputError(f"The dataset has no column {', '.join(missing)}.", _COLUMNS_HINT)
    if len(dataset) == 0:
        raise InvalidInputError("The dataset has 0 songs.", "Add at least one song.")
    _check_texts(dataset)
    repeated = [song for song, times in Counter(dataset["song"]).items() if times > 1]
    if repeated:
        raise InvalidInputError(f"Several songs are called {repeated[0]!r}.", "Give every song a name of its own.")
    _check_codec(dataset, codec_id)
    return dataset


def song_codes(dataset: Dataset, row: int) -> Tensor:
    """Read the codes of one song, [K, T] int16. Raises InvalidInputError, naming the song, if they cannot be used."""
    entry = dataset.with_format("numpy", columns=["song", "codes"])[row]
    return torch.from_numpy(_checked_codes(entry["song"], entry["codes"]))


def song_versions(dataset: Dataset, row: int) -> tuple[VersionCodes, ...]:
    """Read the other versions of one song; none in datasets without. Raises InvalidInputError, naming the song."""
    if "versions" not in dataset.column_names:
        return ()
    entry = dataset.with_format("numpy", columns=["song", "versions"])[row]
    return tuple(
        VersionCodes(
            TrackVersion(float(version["speed"]), float(version["offset_sec"])),
            torch.from_numpy(_checked_codes(entry["song"], version["codes"])),
        )
        for version in entry["versions"]
    )


def _checked_codes(song: str, values: Any) -> np.ndarray:
    try:
        codes = np.asarray(values)
    except ValueError as error:
        raise InvalidInputError(f"{song} has codebooks of different lengths.", "Tokenize the song again.") from error
    if codes.ndim != 2 or codes.size == 0 or codes.dtype.kind not in "iu":
        raise InvalidInputError(
            f"{song} has codes of shape {codes.shape} and type {codes.dtype}.",
            "Needed are whole numbers [codebooks, frames].",
        )
    if codes.min() < 0 or codes.max() > np.iinfo(np.int16).max:
        raise InvalidInputError(f"{song} has codes from {codes.min()} to {codes.max()}.", "Tokenize the song again.")
    return codes.astype(np.int16)


def _require_unicode(name: str, texts: Sequence[Any]) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise InvalidInputError(f"The {name} {text!r} is not text.", "Give it a name.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:  # Python keeps the bytes of an undecodable file name as lone surrogates
            raise InvalidInputError(f"The {name} {text!r} is not UTF-8.", "Give it a name in UTF-8.") from error


def _check_texts(dataset: Dataset) -> None:
    for name in _TEXTS:
        if name not in dataset.column_names:
            continue
        feature = dataset.features[name]
        if not isinstance(feature, Value) or feature.dtype not in ("string", "large_string"):
            raise InvalidInputError(f"The column {name} holds {feature}.", "It must hold one text for each song.")
        if (empty := list(dataset[name]).count(None)) > 0:
            raise InvalidInputError(f"{empty} songs have no {name}.", _COLUMNS_HINT)


def _check_codec(dataset: Dataset, codec_id: str | None) -> None:
    if "codec" not in dataset.column_names:
        return
    by_codec = dict(zip(dataset["codec"], dataset["song"], strict=True))
    if codec_id is not None:
        by_codec[codec_id] = "this base model"
    if len(by_codec) > 1:
        origins = ", ".join(f"{codec} (as {song})" for codec, song in sorted(by_codec.items()))
        raise CheckpointMismatchError(
            f"Tokens of different codecs cannot be mixed: {origins}.", "Tokenize all songs with one base model."
        )
