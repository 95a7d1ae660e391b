"""/training/estimate: what a training would take."""

from fastapi import APIRouter

from heartmula_studio.routes.dependencies import StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.requests import NewJob
from heartmula_studio.store.views import Estimate

router = APIRouter(prefix="/training/estimate", tags=["jobs"])


@router.post("", responses=documented(404))
def estimate_job(body: NewJob, studio: StudioDep) -> Estimate:
    """Steps, time, memory and disk of a training, and what stands in its way; nothing is started."""
    return studio.planning.estimate(**body.given())
