"""/health: what runs here."""

from fastapi import APIRouter, Request, Response

from heartmula_studio.routes.dependencies import studio_of
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.listing import KeptAnswer, at_once
from heartmula_studio.store.views import Health

router = APIRouter(tags=["health"])
ANSWER = KeptAnswer(Health)


@router.get("/health", response_model=Health, responses=documented())
async def health(request: Request) -> Response:
    """Version, device, base model, active checkpoint, running job. Needs no token."""
    return await at_once(lambda: ANSWER.respond(studio_of(request).health()))
