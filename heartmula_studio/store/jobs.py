"""Training jobs on disk. The queue decides what happens to them."""

from pathlib import Path

from heartmula_studio.store.collection import Collection
from heartmula_studio.store.records import Job


class Jobs(Collection[Job]):
    """jobs/{id}/manifest.json; the trainer's own files lie beside it."""

    kind = "jobs"
    noun = "job"
    record_type = Job

    def log_path(self, id: str) -> Path:
        """The trainer's log, which may not be there yet. Raises NotFoundError for an unknown job."""
        return self.folder(id) / "logs.txt"

    def metrics_path(self, id: str) -> Path:
        """One JSON object a step, which may not be there yet. Raises NotFoundError for an unknown job."""
        return self.folder(id) / "metrics.jsonl"
