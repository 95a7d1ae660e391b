"""What is told of a dataset on its way in, step by step."""

from collections.abc import Generator
from dataclasses import dataclass

from heartmula_studio.store.views import ImportedDataset


@dataclass(frozen=True)
class DownloadStep:
    """How much of a repository is here, and how large it is."""

    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class ImportStep:
    """A song that is about to come in, and how many there are: before it, and in all, as far as can be told."""

    filename: str
    done: int
    total: int


ImportSteps = Generator[ImportStep | ImportedDataset, None, None]
"""The songs of an import, each before it is read, and at last the dataset."""

PullSteps = Generator[DownloadStep | ImportStep | ImportedDataset, None, None]
"""The download, then what `ImportSteps` are."""
