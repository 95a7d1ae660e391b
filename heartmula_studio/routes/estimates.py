"""/training/estimate and /training/presets: what a training would take, and what to start with."""

from fastapi import APIRouter

from heartmula_studio.routes.dependencies import WITH_TOKEN, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.requests import PlannedJob
from heartmula_studio.store.records import Method
from heartmula_studio.store.views import Estimate, Preset

router = APIRouter(prefix="/training", tags=["jobs"], dependencies=WITH_TOKEN)


@router.post("/estimate", responses=documented(404))
def estimate_job(body: PlannedJob, studio: StudioDep) -> Estimate:
    """Steps, time, memory and disk of a training, and what stands in its way; nothing is started."""
    return studio.planning.estimate(**body.given())


@router.get("/presets", responses=documented(404))
def training_presets(dataset_id: str, studio: StudioDep, method: Method = "lora") -> list[Preset]:
    """Fast, Balanced and Thorough: settings of a training, with the steps and seconds that they take."""
    return list(studio.planning.presets(dataset_id, method))
