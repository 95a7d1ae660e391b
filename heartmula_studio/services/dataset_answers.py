"""What REST and `gradio_client` say of datasets and their tracks, as in `services.answers`."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from heartmula_studio.store.field_types import Confidence, Count, Duration, Filename, Time
from heartmula_studio.store.records import (
    MINIMUM_FILES,
    Dataset,
    DatasetStatus,
    Ending,
    ProposalKind,
    ProposalStatus,
    Rights,
)
from heartmula_studio.store.views import SkippedItem

MOST_TRACKS = 500  # of a dataset in one answer


class Answer(BaseModel):
    """Base of the models."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, record: object) -> Self:
        return cls.model_validate(record)


class ProposalAnswer(Answer):
    """A tag, or lyrics, that a program found for a song; nothing is trained on it unless it is accepted.

    `confidence`: 0 to 1. Lyrics have a language (ISO 639-1) and a confidence for each line, null where nothing is sung.
    They can be accepted while the song's lyrics are `replaces`, which they come in the place of.
    """

    number: Count
    kind: ProposalKind
    value: str
    confidence: Confidence
    source: str
    status: ProposalStatus
    language: str = ""
    line_confidences: tuple[Confidence | None, ...] = ()
    replaces: str = ""


class CleanedAnswer(Answer):
    """What was cut off a recording and added to its level. `has_original`: it can be taken back."""

    cut_start_sec: Duration
    cut_end_sec: Duration
    gain_db: float
    has_original: bool


class AudioFileAnswer(Answer):
    """One song of a dataset. `caption` is its lyrics, plain or LRC; `frames` is None until it is tokenized.

    `ending` says whether the recording comes to an end, which songs then learn, or is cut off.
    """

    filename: Filename
    caption: str
    tags: tuple[str, ...]
    rights: Rights
    duration_sec: Duration
    sample_rate: Count
    channels: Count
    size_bytes: Count
    sha256: str
    added_at: Time
    frames: Count | None = None
    error: str | None = None
    ending: Ending = "as_heard"
    proposals: tuple[ProposalAnswer, ...] = ()
    cleaned: CleanedAnswer | None = None


class DatasetAnswer(Answer):
    """`waiting_texts` are lyrics whose song has not come yet, by the song's stem.

    `audio_files` are the first 500 songs of `num_files`; all of them are listed in pages, by `tracks`.
    """

    id: str
    name: str
    styles: tuple[str, ...]
    created_at: Time
    status: DatasetStatus = "draft"
    minimum_files: Annotated[int, Field(ge=1)] = MINIMUM_FILES
    audio_files: tuple[AudioFileAnswer, ...] = ()
    waiting_texts: dict[str, str] = {}
    num_files: Count = 0

    @classmethod
    def of(cls, record: object) -> Self:
        assert isinstance(record, Dataset)
        first = record.audio_files[:MOST_TRACKS]
        return cls.model_validate({**vars(record), "audio_files": first, "num_files": len(record.audio_files)})


class ImportedDatasetAnswer(DatasetAnswer):
    """A dataset as it came in, with what was left out of it."""

    skipped: tuple[SkippedItem, ...] = ()


class TrackProposalsAnswer(Answer):
    """What is proposed for a song; `error` says why a program could not listen to it."""

    filename: Filename
    proposals: tuple[ProposalAnswer, ...]
    error: str | None


class ProposalReportAnswer(Answer):
    """The songs of a dataset in its order, each with what is proposed for it."""

    tracks: tuple[TrackProposalsAnswer, ...]
