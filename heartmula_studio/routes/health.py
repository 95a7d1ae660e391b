"""/health: what runs here."""

from fastapi import APIRouter

from heartmula_studio.routes.dependencies import StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.store.views import Health

router = APIRouter(tags=["health"])


@router.get("/health", responses=documented())
def health(studio: StudioDep) -> Health:
    """Version, device, base model, active checkpoint, running job. Needs no token."""
    return studio.health()
