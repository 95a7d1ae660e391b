"""/training/datasets: a name, styles and songs."""

from fastapi import APIRouter

from heartmula_studio.routes.dependencies import Id, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.requests import DatasetChange, NewDataset
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Validation

router = APIRouter(prefix="/training/datasets", tags=["datasets"])


@router.get("", responses=documented())
def list_datasets(studio: StudioDep) -> list[Dataset]:
    """All datasets, oldest first."""
    return studio.list_datasets()


@router.post("", status_code=201, responses=documented())
def create_dataset(body: NewDataset, studio: StudioDep) -> Dataset:
    """Make an empty dataset."""
    return studio.create_dataset(body.name, body.styles)


@router.post("/examples", status_code=201, responses=documented())
def create_example_dataset(studio: StudioDep) -> Dataset:
    """Make a dataset of the six clips that come along, to try everything with."""
    return studio.create_example_dataset()


@router.get("/{id}", responses=documented(404))
def get_dataset(id: Id, studio: StudioDep) -> Dataset:
    """One dataset with its songs."""
    return studio.get_dataset(id)


@router.put("/{id}", responses=documented(404))
def update_dataset(id: Id, body: DatasetChange, studio: StudioDep) -> Dataset:
    """Rename or restyle a dataset."""
    return studio.update_dataset(id, body.name, body.styles)


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_dataset(id: Id, studio: StudioDep) -> None:
    """Delete a dataset with its files; refused while a job uses it."""
    studio.delete_dataset(id)


@router.get("/{id}/validate", responses=documented(404))
def validate_dataset(id: Id, studio: StudioDep) -> Validation:
    """What is missing before the dataset can be trained on."""
    return studio.validate_dataset(id)


@router.post("/{id}/preprocess", status_code=202, responses=documented(404, 409))
def preprocess_dataset(id: Id, studio: StudioDep) -> Dataset:
    """Turn the songs into tokens now; training does it by itself where it was not done."""
    return studio.preprocess(id)
