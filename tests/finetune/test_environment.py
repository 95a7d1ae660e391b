"""No variable of the environment changes what a run computes: each is harmless, ignored with a note, or refused."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from heartmula_studio.errors import InvalidInputError, TrainingError
from heartmula_studio.finetune.environment import IGNORED, REFUSED, take_variables
from heartmula_studio.finetune.job import train
from tests.finetune.training_jobs import launch, loss_curve, read_metrics, song_row, write_job

STEPS = {"epochs": 1, "max_steps": 2, "conditioning_dropout": 0.0}
KINDS = {
    "lora": {},
    "dropout": {"lora": {"dropout": 0.3}},
    "dora": {"lora": {"use_dora": True}},
    "full": {"method": "full"},
}
ASKED_FOR = {
    "ACCELERATE_DYNAMO_BACKEND": "aot_eager",
    "ACCELERATE_FP8_BACKEND": "AO",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "FSDP_IGNORED_MODULES": ".*",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
}
# Read by the libraries while a run goes on, or of no use to one, each with why it changes nothing.
HARMLESS = {
    "ACCELERATE_ALLOW_CP_STANDALONE": "true",  # lifts a check of context parallelism, which is refused
    "ACCELERATE_BYPASS_DEVICE_MAP": "true",  # no model is spread over devices by a map
    "ACCELERATE_CPU_AFFINITY": "1",  # which cores a process runs on
    "ACCELERATE_DEBUG_MODE": "true",  # checks shapes before collectives
    "ACCELERATE_DOWNCAST_BF16": "true",  # TPUs only
    "ACCELERATE_DYNAMO_MODE": "max-autotune",  # how to compile, not whether
    "ACCELERATE_DYNAMO_USE_DYNAMIC": "true",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH": "true",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "true",
    "ACCELERATE_ENABLE_RICH": "true",  # looks of tracebacks
    "ACCELERATE_FP8_OPT_LEVEL": "O2",  # of ACCELERATE_FP8_BACKEND, which is ignored
    "ACCELERATE_GRADIENT_CLIPPING": "0.001",  # DeepSpeed only, which is refused
    "ACCELERATE_INIT_INCLUDE_BUFFERS": "true",  # empty models only
    "ACCELERATE_LOG_LEVEL": "debug",
    "ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE": "DATA_PARALLEL",  # without ACCELERATE_USE_SAGEMAKER, which is refused
    "ACCELERATE_USE_CPU": "true",  # which device; README
    "ACCELERATE_USE_FSDP": "true",  # several processes only; test_sharding.py
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # memory of kernels
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",  # memory
    "TORCHDYNAMO_DISABLE": "1",  # nothing is compiled
    "TORCHINDUCTOR_USE_FAST_MATH": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "TORCH_DISTRIBUTED_DEBUG": "DETAIL",  # checks collectives
}
# Read when PyTorch is loaded or first computes, so set for a process of their own: other kernels, the same precision.
HARMLESS_AT_START = {
    "ATEN_CPU_CAPABILITY": "default",
    "KMP_AFFINITY": "none",
    "MKL_CBWR": "COMPATIBLE",
    "NCCL_ALGO": "Ring",
    "NVIDIA_TF32_OVERRIDE": "0",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "PYTORCH_JIT": "0",
    "TORCHDYNAMO_DISABLE": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "TORCH_LINEAR_FLATTEN_3D": "1",
    "OMP_NUM_THREADS": "2",
}
PREFIXES = ("ACCELERATE_", "ACCELERATE_DYNAMO_", "ACCELERATE_FP8_")  # Accelerate puts names together from these
# DeepSpeed's own, read only where ACCELERATE_USE_DEEPSPEED is set; and the launcher's, read before a run begins.
OF_OTHERS = ("ACCELERATE_DEEPSPEED_", "ACCELERATE_CONFIG_DS_FIELDS", "ACCELERATE_DEBUG_RDV_FILE")


@pytest.fixture(scope="module")
def new_job(tmp_path_factory, base_dir):
    """new_job(**settings) → a job of two steps."""

    def make(**settings) -> Path:
        rows = [song_row(number, 10 + 3 * number) for number in range(3)]
        return write_job(
            tmp_path_factory.mktemp("run") / "job", rows, **{"base_model": str(base_dir), **STEPS, **settings}
        )

    return make


@pytest.fixture(scope="module")
def undisturbed(new_job):
    """undisturbed(kind) → the curve of a kind of training, gradient norms included, without any such variable."""
    curves: dict[str, list[tuple]] = {}

    def curve(kind: str) -> list[tuple]:
        if kind not in curves:
            with pytest.MonkeyPatch.context() as environment:
                for name in (*IGNORED, *REFUSED):
                    environment.delenv(name, raising=False)
                job = new_job(**KINDS[kind])
                train(job, device="cpu")
                curves[kind] = loss_curve(job)
        return curves[kind]

    return curve


def test_each_ignored_variable_is_tried_below():
    assert ASKED_FOR.keys() == IGNORED.keys()


@pytest.mark.parametrize("name", IGNORED)
def test_an_ignored_variable_changes_no_bit_and_is_named_in_the_log(new_job, undisturbed, monkeypatch, name):
    """P: ACCELERATE_GRADIENT_ACCUMULATION_STEPS divided our gradients, ACCELERATE_DYNAMO_BACKEND made them wrong."""
    expected, job = undisturbed("lora"), new_job()
    monkeypatch.setenv(name, ASKED_FOR[name])
    train(job, device="cpu")
    assert loss_curve(job) == expected
    assert f"{name}={ASKED_FOR[name]} is ignored: " in (job / "logs.txt").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_same_with_dynamo_and_accumulation_asked_for(new_job, undisturbed, monkeypatch, kind):
    """P: with Dynamo on in Accelerate the gradients of a LoRA without dropout were wrong (norm 0.389 for 1.297)."""
    expected, job = undisturbed(kind), new_job(**KINDS[kind])
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "inductor")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    train(job, device="cpu")
    assert loss_curve(job) == expected


def test_harmless_variables_change_no_bit(new_job, undisturbed, monkeypatch):
    expected, job = undisturbed("lora"), new_job()
    for name, value in HARMLESS.items():
        monkeypatch.setenv(name, value)
    train(job, device="cpu")
    assert loss_curve(job) == expected
    assert "ignored" not in (job / "logs.txt").read_text()


@pytest.mark.parametrize("name", REFUSED)
def test_a_variable_that_cannot_be_ignored_is_refused_by_name(new_job, monkeypatch, name):
    job = new_job()
    monkeypatch.setenv(name, "true" if name.startswith("ACCELERATE") else "BF16" if "FPMATH" in name else "1")
    with pytest.raises(InvalidInputError, match=name) as caught:
        train(job)
    assert f"Unset {name}" in caught.value.hint
    assert [line["event"] for line in read_metrics(job)] == ["failed"]


def test_variables_that_ask_for_nothing_are_neither_named_nor_refused(monkeypatch):
    for name, variable in (IGNORED | REFUSED).items():
        monkeypatch.setenv(name, variable.harmless[-1].upper())
    assert take_variables() == {}


@pytest.mark.long
def test_a_process_with_other_kernels_and_the_launchers_dynamo_gives_the_same_curve(new_job, undisturbed):
    """P: `accelerate launch --dynamo_backend` made the gradients wrong."""
    job, options = new_job(), ["--dynamo_backend", "aot_eager", "--mixed_precision", "bf16"]
    done = launch(job, "--cpu", *options, ACCELERATE_GRADIENT_ACCUMULATION_STEPS="4", **HARMLESS_AT_START)
    assert done.returncode == 0, done.stderr
    for found, expected in zip(loss_curve(job), undisturbed("lora"), strict=True):
        assert found[:2] == expected[:2]
        assert found[2:] == pytest.approx(expected[2:], rel=1e-5)


def test_every_variable_of_accelerate_is_decided():
    """A newer Accelerate may read more: each new name must be tried, then entered above or in the code's table."""
    sources = Path(find_spec("accelerate").origin).parent
    text = "".join(path.read_text() for path in sources.rglob("*.py") if "test_utils" not in path.parts)
    names = set(re.findall(r"[\"'](ACCELERATE_[A-Z0-9_]+)[\"']", text)) - set(PREFIXES)
    undecided = {name for name in names if not name.startswith(OF_OTHERS)} - IGNORED.keys() - REFUSED.keys()
    assert undecided <= HARMLESS.keys()


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_processes_that_would_not_meet_are_reported(new_job, monkeypatch, name):
    """`torchrun` or `mpirun` without a GPU and without ACCELERATE_USE_CPU: each process would train alone."""
    if torch.cuda.is_available():
        pytest.skip("with a GPU torchrun's processes meet")
    monkeypatch.setenv(name, "2")
    with pytest.raises(TrainingError, match="alone"):
        train(new_job())
