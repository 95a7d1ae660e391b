"""/models: the official models, and their download."""

from typing import Annotated

from fastapi import APIRouter, Path

from heartmula_studio.routes.dependencies import WITH_TOKEN, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.services.answers import ModelAnswer

router = APIRouter(prefix="/models", tags=["models"], dependencies=WITH_TOKEN)
Name = Annotated[str, Path(description="As the list gives it.", examples=["HeartMuLa-oss-3B"])]


@router.get("", responses=documented())
def list_models(studio: StudioDep) -> list[ModelAnswer]:
    """The models that can be downloaded: size, licence, free disk, and what is here of each."""
    return [ModelAnswer.of(model) for model in studio.models.list()]


@router.get("/{name}", responses=documented(404))
def get_model(name: Name, studio: StudioDep) -> ModelAnswer:
    """One model, with how far its download is."""
    return ModelAnswer.of(studio.models.get(name))


@router.delete("/{name}", status_code=204, responses=documented(404, 409))
def remove_model(name: Name, studio: StudioDep) -> None:
    """Remove what was downloaded of a model."""
    studio.models.remove(name)


@router.post("/{name}/download", status_code=202, responses=documented(404, 409, 502, 503))
def download_model(name: Name, studio: StudioDep) -> ModelAnswer:
    """Download a model from the Hugging Face Hub, or go on with a download where it ended."""
    return ModelAnswer.of(studio.models.download(name))


@router.post("/{name}/cancel", responses=documented(404, 409))
def cancel_model(name: Name, studio: StudioDep) -> ModelAnswer:
    """Stop a download or verification; what has come stays."""
    return ModelAnswer.of(studio.models.cancel(name))


@router.post("/{name}/verify", status_code=202, responses=documented(404, 409))
def verify_model(name: Name, studio: StudioDep) -> ModelAnswer:
    """Hash all files of a model, and remove those that are not as the Hub has them."""
    return ModelAnswer.of(studio.models.verify(name))
