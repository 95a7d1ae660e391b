"""Training jobs on disk. The queue decides what happens to them."""

from heartmula_studio.store.collection import Collection
from heartmula_studio.store.records import Job


class Jobs(Collection[Job]):
    """jobs/{id}/manifest.json; the trainer's own files lie beside it."""

    kind = "jobs"
    noun = "job"
    record_type = Job
