"""Progress bars for calls that report (done, total)."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from heartmula_studio.codec.control import Progress


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Progress]:
    """Yield a callback that shows (done, total) as a bar on standard error."""
    with tqdm(desc=label, unit=unit, dynamic_ncols=True) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
