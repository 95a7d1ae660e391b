"""What is said about work that goes on: how far it is, and how it ended."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from heartmula_studio.store.field_types import Count, Percent
from heartmula_studio.store.records import Failure
from heartmula_studio.store.views import SkippedItem, SoundReport, TrackCleaning, TrackLosses

AnalysisKind = Literal["tempo_and_key", "lyrics", "tags"]
CheckKind = Literal["sound", "lyrics"]
TaskStatus = Literal["idle", "running", "completed", "cancelled", "failed"]


@dataclass(frozen=True)
class Task:
    """How far a server is that goes through tracks; `track` is the one at hand. `idle` is what it has not begun."""

    status: TaskStatus = "idle"
    done: int = 0
    total: int = 0
    progress: Percent = 0.0
    track: str = ""
    error: Failure | None = None


@dataclass(frozen=True)
class Analysis(Task):
    """How far a program is that listens to a dataset's tracks; those `skipped` could not be read.

    What it proposes lies with the tracks.
    """

    _: KW_ONLY
    kind: AnalysisKind
    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True)
class CheckTask(Task):
    """How far it is to measure a dataset's tracks, and in `report` what was found of those that are done."""

    _: KW_ONLY
    kind: CheckKind
    report: SoundReport | TrackLosses


@dataclass(frozen=True)
class CleaningTask(Task):
    """How far the cleaning of many recordings is, and how those that are done are cleaned now."""

    _: KW_ONLY
    tracks: tuple[TrackCleaning, ...] = ()


@dataclass(frozen=True)
class ImportTask(Task):
    """How far an import is that is called `name`. `total` is known once it is unpacked, and may be more than come in.

    `repo_id` is where it comes from on the Hub; until all of that is here, `progress` is that of its `download_bytes`.
    `dataset_id` is what it has become, at the end; `skipped` is what was left out of it, and why.
    """

    _: KW_ONLY
    id: str
    name: str
    repo_id: str = ""
    downloaded_bytes: Count = 0
    download_bytes: Count = 0
    dataset_id: str | None = None
    skipped: tuple[SkippedItem, ...] = ()
