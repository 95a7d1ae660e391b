"""The page: what the studio holds and does. Everything can be done through the endpoints beside it."""

from collections.abc import Iterable

import gradio as gr

from heartmula_studio.store.records import Checkpoint, Dataset, Job
from heartmula_studio.studio import Studio
from heartmula_studio.ui.endpoints import add_endpoints

REFRESH_SEC = 3.0
CACHE_CHECK_SEC, CACHE_AGE_SEC = 3600, 86400

ABOUT = """# HeartMuLa Training Studio

Five songs in, a tuned song out. This page shows what the studio holds; it is used from
[REST](docs), from Python with `gradio_client` (see *Use via API* below) and from a shell (see README.md)."""

DATASET_COLUMNS = ["Dataset", "Styles", "Songs", "Status", "Id"]
JOB_COLUMNS = ["Job", "Status", "Progress", "Epoch", "Loss", "Message", "Id"]
CHECKPOINT_COLUMNS = ["Style", "Method", "Size (MB)", "Held-out loss", "Active", "Id"]

Row = list[str | int | float | None]


def create_ui(studio: Studio) -> gr.Blocks:
    """Return the page with the named endpoints."""
    with gr.Blocks(
        title="HeartMuLa Training Studio", analytics_enabled=False, delete_cache=(CACHE_CHECK_SEC, CACHE_AGE_SEC)
    ) as page:
        gr.Markdown(ABOUT)
        status = gr.Markdown()
        tables = [gr.Dataframe(headers=names) for names in (DATASET_COLUMNS, JOB_COLUMNS, CHECKPOINT_COLUMNS)]
        timer = gr.Timer(REFRESH_SEC)
        gr.on(
            [page.load, timer.tick],
            lambda: _everything(studio),
            outputs=[status, *tables],
            api_visibility="private",
            show_progress="hidden",
        )
        add_endpoints(studio)
    return page


def _everything(studio: Studio) -> tuple[str, list[Row], list[Row], list[Row]]:
    return (
        _status(studio),
        _dataset_rows(studio.list_datasets()),
        _job_rows(studio.list_jobs()),
        _checkpoint_rows(studio.list_checkpoints()),
    )


def _status(studio: Studio) -> str:
    health = studio.health()
    active = f"style `{health.active_checkpoint}`" if health.active_checkpoint else "no style active"
    running = f"training job `{health.running_job}`" if health.running_job else "nothing in training"
    return f"Version {health.version}, base model `{health.base_model}` on `{health.device}`, {active}, {running}."


def _dataset_rows(datasets: Iterable[Dataset]) -> list[Row]:
    return [
        [d.name, ", ".join(d.styles), f"{len(d.audio_files)} of {d.minimum_files}", d.status, d.id] for d in datasets
    ]


def _job_rows(jobs: Iterable[Job]) -> list[Row]:
    return [
        [j.dataset_name, j.status, f"{j.progress:.2f} %", f"{j.epoch} of {j.epochs}", j.loss, _message(j), j.id]
        for j in jobs
    ]


def _message(job: Job) -> str:
    return f"{job.error.message} {job.error.hint}" if job.error else job.message


def _checkpoint_rows(checkpoints: Iterable[Checkpoint]) -> list[Row]:
    return [
        [c.name, c.method, round(c.size_bytes / 1e6, 1), c.losses.eval, "yes" if c.is_active else "", c.id]
        for c in checkpoints
    ]
