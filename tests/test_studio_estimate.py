"""What a training would take, against what the trainer makes of the same songs; on the bundled base."""

import dataclasses
import json
import math
import struct
from types import SimpleNamespace

import pytest
import torch

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, read_heartmula_config
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.tokenizing import save_dataset
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.costs.memory import WORKSPACE_BYTES, tensor_shapes, trained_parameters, training_bytes
from heartmula_studio.finetune.data_plan import RunPlan
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.model_setup import load_network, trainable_weights
from heartmula_studio.services.planning import estimate, remedies
from heartmula_studio.services.planning.remedies import REMEDIES, host_shortages, remedy
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.preprocess import source_of
from heartmula_studio.services.training.snapshot import snapshot
from heartmula_studio.studio import Studio
from tests.recordings import CLIPS
from tests.still_studio import filled, settings_for, still_studio, tokenized
from tests.training_events import lines, step

TIMED = "[00:01.00] one\n[00:09.50] two\n[00:20.00] three"
FIXED = {"draws_per_epoch": 0, "batch_size": 1}  # the same windows in each epoch, one by one
SLOW_SEC = 100.0
# MiB of an H200 at windows of 30, 60, 120 and 240 s: `python -m benchmarks.model --random 3B --only steps`.
MEASURED_ON_A_GPU = {
    ("lora", "bfloat16"): (9273, 9844, 10513, 11428),
    ("lora", "nf4"): (4998, 5563, 6169, 7096),
    ("full", "bfloat16"): (17347, 17902, 18672, 19654),
}
GIB = 1 << 30
SIXTEEN = {"method": "full", "base_dtype": "bfloat16"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    return still_studio(settings_for(tmp_path_factory.mktemp("estimates") / "data"))


@pytest.fixture(scope="module")
def dataset_id(studio) -> str:
    return filled(studio, 6, CLIPS).id


@pytest.fixture
def fresh(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


def measured(studio: Studio, job_id: str, step_sec: float) -> None:
    """Steps of a job as its worker writes them."""
    folder = JobFolder(studio.store.jobs.folder(job_id))
    folder.metrics.write_text(lines(*(step(number, step_sec=step_sec) for number in range(1, 9))))


@pytest.fixture(scope="module")
def examples(studio, dataset_id, tmp_path_factory) -> SimpleNamespace:
    """The dataset as the trainer reads it, once its songs are tokenized."""
    studio.datasets.update_audio(dataset_id, CLIPS[1].name, caption=TIMED, tags=["House", "Deep, slow"])
    guesses = {window: studio.planning.estimate(dataset_id, max_window_sec=window) for window in (2.0, 240.0)}
    dataset = tokenized(studio, studio.datasets.get(dataset_id))
    base, folder = find_base("nano"), tmp_path_factory.mktemp("dataset") / "dataset"
    songs = [source_of(song) for song in snapshot(studio.store, dataset, None).songs]
    save_dataset(songs, stored_codebook_id(base.codec), folder)

    def load(max_window_sec: float) -> int:
        return len(load_examples(folder, base, read_heartmula_config(base.model), max_window_sec)[0])

    return SimpleNamespace(guesses=guesses, load=load)


class TestSteps:
    @pytest.mark.parametrize(
        ("window_sec", "settings"),
        [
            (240.0, {}),
            (2.0, {"epochs": 2, "batch_size": 4, "gradient_accumulation_steps": 2}),
            (7.0, {"max_steps": 3}),
            (7.0, {"epochs": 5, "batch_size": 3}),
        ],
    )
    def test_they_are_those_of_the_trainer(self, studio, dataset_id, examples, window_sec, settings):
        settings = FIXED | settings
        config = TrainConfig(max_window_sec=window_sec, **settings)
        step_size = config.batch_size * config.gradient_accumulation_steps
        plan = RunPlan(examples.load(window_sec), step_size, config.epochs, config.max_steps, config.seed)
        estimate = studio.planning.estimate(dataset_id, max_window_sec=window_sec, **settings)
        assert estimate.steps == plan.total_steps > 0
        assert estimate.fits

    @pytest.mark.parametrize(
        ("prior_fraction", "steps"),
        [(0.0, 2 * math.ceil(5 * 6 / 4)), (0.25, 2 * math.ceil(5 * 6 / 0.75 / 4))],  # epochs, tracks, draws, batch
    )
    def test_drawn_windows_are_counted_with_those_of_the_bases_songs(self, studio, dataset_id, prior_fraction, steps):
        settings = {"epochs": 2, "draws_per_epoch": 6, "batch_size": 4, "prior_fraction": prior_fraction}
        assert studio.planning.estimate(dataset_id, max_window_sec=4.0, **settings).steps == steps

    def test_they_are_known_before_the_songs_are_tokenized(self, studio, dataset_id, examples):
        for window_sec, guess in examples.guesses.items():
            now = studio.planning.estimate(dataset_id, max_window_sec=window_sec)
            assert guess.steps == now.steps
            assert guess.seconds > now.seconds

    def test_processes_share_the_windows(self, fresh, tmp_path):
        config = tmp_path / "accelerate.yaml"
        config.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 5\n")
        dataset_id = filled(fresh, 6).id
        assert fresh.planning.estimate(dataset_id, **FIXED).steps == 15
        launched = still_studio(dataclasses.replace(fresh.settings, accelerate_config=config)).planning
        assert launched.estimate(dataset_id, **FIXED).steps == 3
        (problem,) = launched.estimate(dataset_id, **SIXTEEN).problems
        assert "in one process, not in 5" in problem.message
        config.write_text("[")
        with pytest.raises(InvalidInputError, match="Accelerate"):
            launched.estimate(dataset_id)

    def test_versions_of_tracks_that_are_learnt_take_time_and_disk_once(self, studio, dataset_id):
        one, three = (studio.planning.estimate(dataset_id, track_versions=count) for count in (1, 3))
        assert three.steps == one.steps
        assert three.seconds > one.seconds
        seconds = 2 * sum(file.duration_sec for file in studio.datasets.get(dataset_id).audio_files)
        assert 0 < three.disk_bytes - one.disk_bytes < seconds * 12.5 * 8 * 2  # the held-out track is not among them


class TestTime:
    def test_it_grows_with_what_there_is_to_do(self, studio, dataset_id):
        def seconds(method="lora", **settings) -> float:
            return studio.planning.estimate(dataset_id, method, **settings).seconds

        assert 0 < seconds() < seconds(epochs=30)
        assert seconds(epochs=300) < seconds("full", epochs=300)
        assert seconds(epochs=300) < seconds(epochs=300, gradient_checkpointing=True)
        assert seconds(epochs=300, depth_frame_fraction=0.1) < seconds(epochs=300)

    def test_an_earlier_job_of_the_kind_says_best(self, fresh):
        dataset_id = filled(fresh).id
        unknown = fresh.planning.estimate(dataset_id, epochs=4, **FIXED)
        full = fresh.planning.estimate(dataset_id, "full")
        job = fresh.jobs.start(dataset_id, **FIXED)
        assert fresh.planning.estimate(dataset_id, epochs=4, **FIXED).seconds == unknown.seconds
        measured(fresh, job.id, SLOW_SEC)
        known = fresh.planning.estimate(dataset_id, epochs=4, **FIXED)
        assert known.steps == 20
        assert 20 * SLOW_SEC < known.seconds < 25 * SLOW_SEC
        assert fresh.planning.estimate(dataset_id, "full").seconds == full.seconds

    def test_of_several_the_one_with_steps_most_alike(self, fresh):
        dataset_id = filled(fresh).id
        alike, unlike = fresh.jobs.start(dataset_id), fresh.jobs.start(dataset_id, max_window_sec=1.0)
        measured(fresh, alike.id, SLOW_SEC)
        measured(fresh, unlike.id, 1e-3)
        assert fresh.planning.estimate(dataset_id).seconds > 15 * SLOW_SEC
        assert fresh.planning.estimate(dataset_id, max_window_sec=1.0, epochs=1).seconds < SLOW_SEC


class TestProblems:
    def test_nothing_is_started(self, studio, dataset_id):
        studio.planning.estimate(dataset_id)
        assert studio.jobs.list() == []

    def test_what_a_job_is_refused_for(self, studio, dataset_id):
        with pytest.raises(InvalidInputError, match="learning_rat"):
            studio.planning.estimate(dataset_id, learning_rat=1e-4)
        with pytest.raises(InvalidInputError, match="lora.rank"):
            studio.planning.estimate(dataset_id, lora_rank=0)
        with pytest.raises(InvalidInputError, match="method"):
            studio.planning.estimate(dataset_id, "half")
        with pytest.raises(NotFoundError):
            studio.planning.estimate("none")

    @pytest.mark.parametrize(("count", "steps"), [(0, 0), (3, 9)])
    def test_too_few_songs_are_counted(self, fresh, count, steps):
        estimate = fresh.planning.estimate(filled(fresh, count).id, **FIXED)
        assert [problem.message for problem in estimate.problems] == [f"Mine has {count} of 5 files."]
        assert not estimate.fits
        assert estimate.steps == steps

    def test_songs_that_the_trainer_would_refuse_are_named(self, fresh):
        dataset_id = filled(fresh, 5, CLIPS).id
        fresh.datasets.update_audio(dataset_id, CLIPS[2].name, caption="words of a song\n" * 3000)
        fresh.store.datasets.set_tokens(dataset_id, CLIPS[3].name, None, "It is damaged.")
        estimate = fresh.planning.estimate(dataset_id, max_window_sec=10.0, **FIXED)
        damaged, too_long = estimate.problems
        assert damaged.message == f"{CLIPS[3].name}: It is damaged."
        assert CLIPS[2].stem in too_long.message
        assert estimate.steps == 3 * 4 * 3  # epochs, songs, windows

    def test_too_little_memory_and_what_to_change(self, studio, dataset_id, monkeypatch):
        lora = studio.planning.estimate(dataset_id)
        assert 0 < lora.memory_bytes < studio.planning.estimate(dataset_id, "full").memory_bytes
        monkeypatch.setattr(estimate, "total_bytes", lambda device: lora.memory_bytes)
        assert studio.planning.estimate(dataset_id).fits
        (problem,) = studio.planning.estimate(dataset_id, "full").problems
        assert problem.message.startswith("This will not fit: it needs")
        assert "LoRA instead of full" in problem.hint

    def test_too_little_disk(self, studio, dataset_id, monkeypatch):
        needed = studio.planning.estimate(dataset_id, "full").disk_bytes
        assert needed > studio.planning.estimate(dataset_id, "full", save_dtype="bfloat16").disk_bytes
        assert needed > studio.planning.estimate(dataset_id).disk_bytes > 0
        monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
        assert studio.planning.estimate(dataset_id).fits
        (problem,) = studio.planning.estimate(dataset_id, "full").problems
        assert "disk" in problem.message
        assert "LoRA" in problem.hint

    @pytest.mark.parametrize("method", ["lora", "full"])
    @pytest.mark.parametrize("share", [0.9, 0.6, 0.5])
    def test_a_remedy_is_one(self, method, share):
        """What the hint names makes it fit: each of several alternatives alone, or all of them together."""
        base = find_base("nano")
        config = TrainConfig(method=method, batch_size=8, lora=LoraSettings(rank=128))
        there = int(share * training_bytes(config, base, 240.0, "cpu"))
        hint = remedy(config, base, 240.0, "cpu", there)
        named = [change for words, change in REMEDIES.items() if words in hint]
        assert named, hint
        if " and " in hint:
            for change in named:
                config = change(config)
            assert training_bytes(config, base, 240.0, "cpu") <= there
        else:
            assert all(training_bytes(change(config), base, 240.0, "cpu") <= there for change in named)

    def test_no_remedy_is_made_up(self):
        assert "smaller base model" in remedy(TrainConfig(), find_base("nano"), 240.0, "cpu", 1000)


class TestOfficialSizes:
    @pytest.fixture(scope="class")
    @staticmethod
    def official(tmp_path_factory) -> BaseFolder:
        """The 3B as far as estimates read it: its config, and a file with the shapes and a hole for the weights."""
        config = HeartMuLaConfig.from_dict({"backbone_flavor": "llama-3B", "decoder_flavor": "llama-300M"})
        with torch.device("meta"):
            tensors = HeartMuLa(config).state_dict()
        entries, size = {}, 0
        for name, tensor in tensors.items():
            end = size + 2 * tensor.numel()
            entries[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [size, end]}
            size = end
        header = json.dumps(entries).encode()
        folder = tmp_path_factory.mktemp("official")
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        with (folder / "model.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + size)
        return dataclasses.replace(find_base("nano"), model=folder)

    def test_a_full_fine_tune_in_16_bits_fits_a_24_gb_gpu(self, official):
        config = TrainConfig(mixed_precision="bf16", max_window_sec=60.0, gradient_checkpointing=True, **SIXTEEN)
        weights_and_moments = 3.934e9 * (2 + 2 * (1 + 4 / 256))
        needed = training_bytes(config, official, 240.0, "cuda")
        assert weights_and_moments + GIB < needed < 22 * GIB
        in_float32 = training_bytes(dataclasses.replace(config, base_dtype="float32"), official, 240.0, "cuda")
        assert needed < in_float32 / 3
        gradients = training_bytes(config, official, 240.0, "cpu") - needed + WORKSPACE_BYTES
        assert gradients == pytest.approx(2 * 3.934e9, rel=0.01)

    @pytest.mark.parametrize(("method", "base_dtype"), MEASURED_ON_A_GPU)
    def test_the_estimate_is_within_a_tenth_of_what_a_gpu_took(self, official, method, base_dtype):
        config = TrainConfig(method=method, base_dtype=base_dtype, mixed_precision="bf16", gradient_checkpointing=True)
        for seconds, mebibytes in zip((30, 60, 120, 240), MEASURED_ON_A_GPU[method, base_dtype], strict=True):
            needed = training_bytes(config, official, seconds, "cuda")
            assert needed == pytest.approx(mebibytes << 20, rel=0.1)

    def test_it_is_what_a_full_fine_tune_is_told_to_use_there(self, official):
        config = TrainConfig(method="full", mixed_precision="bf16")
        hint = remedy(config, official, 60.0, "cuda", 22 * GIB)
        assert hint == "Use weights in 16 bits with checkpointing."

    @pytest.mark.parametrize(("there", "count"), [(16e9, 1), (32e9, 0)])
    def test_its_gradients_need_the_computers_memory(self, official, monkeypatch, there, count):
        monkeypatch.setattr(remedies, "total_bytes", lambda device: there)
        problems = list(host_shortages(TrainConfig(**SIXTEEN), official))
        assert ["it needs 16.5 GB of this computer's memory" in problem.message for problem in problems] == [
            True
        ] * count
        assert list(host_shortages(TrainConfig(method="full"), official)) == []


def test_trained_parameters_are_counted_as_they_are_made():
    base, config = find_base("nano"), TrainConfig()
    network = load_network(base, config, torch.device("cpu"))
    real = sum(weight.numel() for weight in trainable_weights(network).values())
    assert trained_parameters(tensor_shapes(base.model), config) == real
