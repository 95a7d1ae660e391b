"""How tests are shared among processes, and what many tests need: the golden numbers, their models, a server."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests fill the cores by running beside each other; more threads than cores would make each many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The processes of tests keep the memory that tensors leave for the next ones: a quarter of the time in which a song is
# decoded went into asking the system for it, 32 MB at a time, and giving it back.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**28))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**29))
# Trainings render no songs along the way, and make no versions of tracks, but where a test is about these.
os.environ.setdefault("HEARTMULA_PREVIEW_SONGS", "0")
os.environ.setdefault("HEARTMULA_MAX_TRACK_VERSIONS", "1")

import psutil
import pytest

from tests.long_tests import HAS_TIME
from tests.studio_server import MAX_UPLOAD_BYTES, Server, catalogues_of, running_server

if TYPE_CHECKING:
    from torch import Tensor
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
MAX_WORKERS = 4  # each holds a gigabyte or two
# What takes longest, the longest first: it begins before all else, so that no worker is still at one of these when the
# rest have nothing left to do. `-m "not slow"` leaves these out, all tests with a browser, and all with a server.
LONG_FILES = (
    "ui/test_endpoints.py",  # with all that share its server
    "e2e/test_every_tab.py",  # with all that share its browser
    "e2e/test_every_field.py",
    "e2e/test_behind_a_proxy.py",
    "e2e/test_quick_start.py",
    "e2e/test_survival.py",
    "test_recovery.py",
    "test_recovery_of_exchange.py",
    "services/training/test_workers.py",
    "services/training/test_ray_cluster.py",  # with all that share its cluster
    "services/songs/test_replicas.py",
    "finetune/test_nodes.py",
    "finetune/test_processes.py",
    "finetune/test_sharding.py",
    "routes/test_guide.py",  # whose job the next one tries everything on
    "routes/test_openapi_fuzz.py",
    "cli/test_demo.py",
    "test_readme.py",
    "test_docs.py",
    "services/training/test_without_posix.py",
    "test_packaging.py",
    "services/test_models.py",
    "test_official_base.py",
    "test_studio_songs.py",
    "test_recovery_of_exchange.py",
    "test_studio_hear.py",
    "test_studio_estimate.py",
    "finetune/test_resume.py",
    "finetune/test_environment.py",
    "finetune/test_four_bits.py",
    "finetune/test_train.py",
    "finetune/test_failures.py",
    "finetune/test_sixteen_bits.py",
    "finetune/costs/test_activations.py",
    "generate/test_previews.py",
    "recipes/test_nano_training.py",
    "codec/test_codec.py",
    "generate/test_adapter.py",
    "generate/test_adapter_formats.py",
    "services/test_hub.py",
    "test_studio_imports.py",
    "codec/test_corpus.py",
    "test_studio_transcription.py",
    "test_studio_proposals.py",
    "codec/test_tempo_and_key.py",
    "codec/test_transcriber.py",
    "services/test_voice_first.py",
    "codec/test_tagger.py",
    "codec/test_audio_writer.py",
    "services/songs/test_queue.py",
    "services/songs/test_places.py",
    "store/test_processes.py",
    "generate/test_engine.py",
    "generate/test_engine_refusals.py",
    "generate/test_offload.py",
    "generate/decoding/test_triton_kernels.py",
    "cli/test_check.py",
    "cli/test_commands.py",
    "test_app.py",
    "arch/test_checkpoints.py",
    "finetune/test_fused_lora.py",
    "finetune/test_checkpointing.py",
    "generate/test_official_files.py",
    "generate/decoding/test_generator.py",
    "codec/test_identity.py",
    "codec/test_audio_file.py",
    "codec/test_mpeg.py",
    "codec/test_roundtrip.py",
    "test_studio.py",
    "finetune/test_kinds.py",
    "services/training/test_ladder.py",
    "finetune/test_train_further.py",
    "finetune/test_safeguards.py",
    "finetune/test_adam8bit.py",
    "generate/test_mix.py",
    "generate/test_merge.py",
    "generate/test_on_device.py",
    "ui/test_page.py",
)


LONG = pytest.mark.skip(reason="one of the longest tests; HEARTMULA_LONG_TESTS=1 runs them")

# What these need is dear to start, so all of each line run in one process and share it; other files go one by one.
TOGETHER = {
    "server": ("routes/", "ui/test_endpoints.py", "test_readme.py"),
    "browser": ("e2e/",),
    "cluster": ("services/training/test_ray_cluster.py", "services/songs/test_replicas.py"),
}
APART = ("e2e/test_every_field.py", "e2e/test_quick_start.py", "e2e/test_survival.py", "e2e/test_behind_a_proxy.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores: tests with a browser or a server wait for them half of the time.

    No more than there are cores where those are left out: each loads PyTorch and Gradio, which takes long. No workers
    where only files are named: they take longer to begin than most files take to run.
    """
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    return min(psutil.cpu_count() + (config.option.markexpr != "not slow"), MAX_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Scheduling | None":
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Grouped(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(super()._split_scope(nodeid))

    return Grouped(config, log)


def group(file: str) -> str:
    """What a file is run together with; the file itself where that is nothing."""
    name = file.removeprefix(f"{TESTS.name}/")
    groups = (group for group, files in TOGETHER.items() if name.startswith(files) and name not in APART)
    return next(groups, file)


def place(path: Path) -> int:
    """The place of a file in LONG_FILES; browser tests come behind these, all others last."""
    name = os.path.relpath(path, TESTS)
    return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES) + (not name.startswith("e2e"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even load what `-m "not slow"` leaves out."""
    is_left_out = config.option.markexpr == "not slow" and place(collection_path) <= len(LONG_FILES)
    return True if is_left_out else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what tests load, half a million objects that stay, from the garbage collector.

    It would go through all of them whenever the studio gives the memory of a model back.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if place(item.path) <= len(LONG_FILES) or "server" in item.fixturenames:
            item.add_marker("slow")
        if not HAS_TIME and item.get_closest_marker("long"):
            item.add_marker(LONG)
    items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """For all tests that only need some server; each finds there what others have left."""
    data_dir = tmp_path_factory.mktemp("studio") / "data"
    variables = {"HEARTMULA_MAX_UPLOAD_BYTES": MAX_UPLOAD_BYTES, "HEARTMULA_CATALOGUES_DIR": catalogues_of(data_dir)}
    with running_server(data_dir, **{name: str(value) for name, value in variables.items()}) as server:
        yield server


# What these load is imported only here: tests of light parts need none of it, and it takes seconds.


@pytest.fixture(scope="session")
def golden() -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="session")
def golden_encoder() -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    return load_file(GOLDEN / "expected_encoder.safetensors")


@pytest.fixture
def golden_heartmula():
    from heartmula_studio.arch.checkpoints import load_heartmula

    return load_heartmula(GOLDEN / "heartmula")


@pytest.fixture(scope="session")
def golden_heartcodec():
    from heartmula_studio.arch.checkpoints import load_codec_network

    return load_codec_network(GOLDEN / "heartcodec")


@pytest.fixture(scope="module")
def short_windows() -> Iterator[None]:
    """Decode in windows of 6 s instead of 30: however short a song is, a whole window of it takes seconds."""
    from heartmula_studio.codec import joining

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "WINDOW_FRAMES", 72)
        yield
