"""/hub: styles and datasets on the Hugging Face Hub."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.requests import Body
from heartmula_studio.services.answers import (
    CheckpointAnswer,
    HubRepoAnswer,
    PublishedAnswer,
)
from heartmula_studio.services.dataset_answers import ImportedDatasetAnswer
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.store.views import RepoKind

router = APIRouter(prefix="/hub", tags=["hub"], dependencies=WITH_TOKEN)

Kind = Annotated[RepoKind, Query(description="model: styles.")]
Part = Annotated[str, Path(max_length=96, examples=["musician"])]
RepoId = Annotated[str, Field(max_length=193, examples=["musician/night-drive"])]
Revision = Annotated[str, Field(max_length=100, description="A commit, branch or tag. Empty: the newest.")]
License = Annotated[str, Field(max_length=60, description="As the Hub names licences.", examples=["cc-by-4.0"])]


class StylePull(Body):
    """Empty names are those of the repository and of the style itself."""

    repo_id: RepoId
    revision: Revision = ""
    name: str = ""
    styles: list[str] = []
    which: Annotated[str, Field(description="Which checkpoint to take, by its folder, if there are several.")] = ""
    alpha: float | None = None


class DatasetPull(Body):
    repo_id: RepoId
    revision: Revision = ""
    name: str = ""
    styles: list[str] = []
    split: str = ""


class Publication(Body):
    """`confirm_rights` says that it may be published although rights are unknown; `update` adds to a repository."""

    repo_id: RepoId
    license: License = "other"
    private: bool = True
    confirm_rights: bool = False
    update: bool = False


@router.get("/search", responses=documented(502, 503))
def search_hub(studio: StudioDep, words: str = "", kind: Kind = "model") -> list[HubRepoAnswer]:
    """Styles or datasets that bear this studio's tags."""
    return [HubRepoAnswer.of(repo) for repo in studio.hub.find(kind, words)]


@router.get("/repos/{owner}/{name}", responses=documented(403, 404, 502, 503))
def look_at_repo(owner: Part, name: Part, studio: StudioDep, kind: Kind = "model", revision: str = "") -> HubRepoAnswer:
    """A repository's card and files, before anything is fetched."""
    return HubRepoAnswer.of(studio.hub.look_at(f"{owner}/{name}", kind, revision))


@router.post("/styles/pull", status_code=201, responses=documented(403, 404, 502, 503))
def pull_style(body: StylePull, studio: StudioDep) -> CheckpointAnswer:
    """Take in a style, pinned to the commit that its `origin` names."""
    return CheckpointAnswer.of(studio.hub.pull_style(**body.model_dump()))


@router.post("/datasets/pull", status_code=201, responses=documented(403, 404, 409, 502, 503))
def pull_dataset(body: DatasetPull, studio: StudioDep) -> ImportedDatasetAnswer:
    """Make a dataset of one on the Hub; `skipped` says what could not be used.

    The answer comes when all is there; `pull/start` does the same in the background. This one, too, is listed by
    `GET /training/imports`, and can be cancelled.
    """
    return ImportedDatasetAnswer.of(studio.hub.pull_dataset(**body.model_dump()))


@router.post("/datasets/pull/start", status_code=202, responses=documented(403, 404, 409, 502, 503))
def start_pull(body: DatasetPull, studio: StudioDep) -> ImportTask:
    """Make a dataset of one on the Hub in the background.

    `GET /training/imports/{id}` says how far its download is, then its songs, and `cancel` stops it.
    """
    return studio.hub.start_pull(**body.model_dump())


@router.post("/styles/{id}/push", status_code=201, responses=documented(403, 404, 409, 502, 503))
def push_style(id: Id, body: Publication, studio: StudioDep) -> PublishedAnswer:
    """Publish a style with a card: base, data and its rights, settings, losses, licence."""
    return PublishedAnswer.of(studio.hub.push_style(id, **body.model_dump()))


@router.post("/datasets/{id}/push", status_code=201, responses=documented(403, 404, 409, 502, 503))
def push_dataset(id: Id, body: Publication, studio: StudioDep) -> PublishedAnswer:
    """Publish a dataset's recordings with lyrics, tags and rights."""
    return PublishedAnswer.of(studio.hub.push_dataset(id, **body.model_dump()))
