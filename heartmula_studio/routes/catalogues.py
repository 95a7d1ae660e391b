"""/training/catalogues: what trainings may learn from beside datasets."""

from fastapi import APIRouter

from heartmula_studio.routes.dependencies import WITH_TOKEN, StudioDep
from heartmula_studio.routes.failures import documented

router = APIRouter(prefix="/training/catalogues", tags=["jobs"], dependencies=WITH_TOKEN)


@router.get("", responses=documented())
def list_catalogues(studio: StudioDep) -> list[str]:
    """Names of the catalogues of this server: very many recordings as tokens, made by `heartmula-studio catalogue`."""
    return studio.catalogues.names()
