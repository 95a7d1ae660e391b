"""The official models from a shell: listed, downloaded, verified, removed."""

from argparse import Namespace

from tqdm import tqdm

from heartmula_studio.errors import HubError
from heartmula_studio.services.library.models import ModelService
from heartmula_studio.settings import Settings
from heartmula_studio.store.store import Store


def models(arguments: Namespace) -> int:
    settings = Settings.load()
    service = ModelService(Store(settings.data_dir, settings.max_upload_bytes, settings.max_files), settings)
    {"list": list_models, "download": download, "verify": verify, "remove": remove}[arguments.action](
        service, arguments
    )
    return 0


def list_models(service: ModelService, _: Namespace) -> None:
    for model in service.list():
        size = f"{model.done_bytes / 1e9:.1f} of {model.size_bytes / 1e9:.1f} GB"
        print(f"{model.name}  {model.status}  {size}  {model.licence}  {model.title}")
        print(f"{model.free_disk_bytes / 1e9:.1f} GB are free on its disk. {model.message}".rstrip())


def download(service: ModelService, arguments: Namespace) -> None:
    with tqdm(desc=arguments.name, unit="B", unit_scale=True, dynamic_ncols=True) as bar:

        def watch(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        model = service.download_here(arguments.name, watch)
    print(f"{model.name}: {model.status}. {model.message}")


def verify(service: ModelService, arguments: Namespace) -> None:
    if damaged := service.verify_here(arguments.name):
        raise HubError(f"Damaged, and removed: {', '.join(damaged)}.", "Download the model again to replace them.")
    print(f"{arguments.name}: all files are as the Hub has them.")


def remove(service: ModelService, arguments: Namespace) -> None:
    service.remove(arguments.name)
    print(f"{arguments.name}: removed.")
