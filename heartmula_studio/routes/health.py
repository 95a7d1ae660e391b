"""/health: what runs here."""

from fastapi import APIRouter, Response

from heartmula_studio.routes.dependencies import StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.listing import KeptAnswer, at_once
from heartmula_studio.store.views import Health

router = APIRouter(tags=["health"])
ANSWER = KeptAnswer(Health)


@router.get("/health", response_model=Health, responses=documented())
async def health(studio: StudioDep) -> Response:
    """Version, device, base model, active checkpoint, running job. Needs no token."""
    return await at_once(lambda: ANSWER.respond(studio.health()))
