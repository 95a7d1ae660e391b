"""What a run does: learns, measures, reports. Resuming, processes, outputs and failures have files of their own."""

import json

import pytest
import torch
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.dataset.batch import Batch
from heartmula_studio.finetune.evaluate import mean_loss
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.job import train
from tests.finetune.training_jobs import AUDIO_EOS_ID, loss_curve, losses, read_metrics, song_row


def test_a_full_fine_tune_learns_a_song_by_heart_with_its_end(make_job, base_dir):
    """Shifted targets, all codebooks and the end frame at once: teacher-forced, every code comes out right."""
    job = make_job(num_songs=1, method="full", epochs=20, learning_rate=1e-2, conditioning_dropout=0.0)
    result = train(job)
    base = find_base(base_dir)
    model = load_heartmula(result.checkpoint)
    (examples, _) = load_examples(job / "dataset", base, model.config, 240.0)
    batch = Batch.collate([examples[0]])
    with torch.no_grad():
        codebook0, depth = model(
            batch.tokens, batch.mask, batch.muq_positions, batch.unconditional, batch.predict, batch.targets
        )
    predicted = torch.cat([codebook0, depth], dim=1).argmax(-1)
    assert predicted[:-1].T.tolist() == song_row(0, 10)["codes"].tolist()
    assert predicted[-1].tolist() == [AUDIO_EOS_ID] * 8


def test_lora_lowers_the_loss_of_every_codebook(make_job):
    job = make_job(num_songs=1, epochs=12, learning_rate=3e-2, conditioning_dropout=0.0, lora={"rank": 16})
    train(job)
    steps = read_metrics(job, "step")
    for first, last in zip(steps[0]["per_codebook"], steps[-1]["per_codebook"], strict=True):
        assert last < 0.5 * first


def test_the_held_out_loss_is_measured_at_the_start_and_after_every_epoch(make_job):
    job = make_job(epochs=2, learning_rate=1e-2)
    result = train(job)
    evals = read_metrics(job, "eval")
    assert [(line["step"], line["epoch"]) for line in evals] == [(0, 0), (5, 1), (10, 2)]
    assert result.initial_loss == evals[0]["loss"]
    assert result.best_loss == min(line["loss"] for line in evals[1:])
    assert result.checkpoint == job / "checkpoints" / "best"


def test_the_held_out_loss_is_that_of_the_untouched_base_and_of_the_written_checkpoint(make_job, base_dir):
    job = make_job(method="full", learning_rate=1e-3, depth_frame_fraction=0.5, conditioning_dropout=1.0)
    result = train(job)
    base = find_base(base_dir)
    for folder, expected in ((base.model, result.initial_loss), (job / "checkpoints" / "last", result.eval_loss)):
        model = load_heartmula(folder)
        _, held_out = load_examples(job / "dataset", base, model.config, 240.0)
        assert mean_loss(model, held_out, 1, 8).mean == pytest.approx(expected, abs=1e-6)


def test_below_six_songs_nothing_is_held_out_and_the_log_says_so(make_job):
    job = make_job(num_songs=5, epochs=1)
    result = train(job)
    assert read_metrics(job, "eval") == []
    assert (result.initial_loss, result.eval_loss, result.best_loss) == (None, None, None)
    assert result.checkpoint == job / "checkpoints" / "last"
    assert not (job / "checkpoints" / "best").exists()
    assert [note[:21] for note in result.notes] == ["No song is held out, "]
    assert result.notes[0] in (job / "logs.txt").read_text()


def test_a_run_that_learns_nothing_of_use_says_so(make_job):
    """Songs of random codes share nothing, so what is learnt by heart makes the held-out one less likely."""
    job = make_job(epochs=4, method="full", learning_rate=1e-1, schedule="constant", warmup_ratio=0.0)
    result = train(job)
    assert result.best_loss > result.initial_loss
    assert "The held-out loss did not fall" in result.notes[-1]
    assert result.notes[-1] in (job / "logs.txt").read_text()


def test_songs_whose_lyrics_were_spread_are_named(make_job):
    rows = [{**song_row(i, 40), "lyrics": "one\ntwo\nthree"} for i in (0, 1)]
    notes = train(make_job(rows=rows, max_window_sec=2, epochs=1, max_steps=1)).notes
    assert "Lyrics without times were spread evenly over: song 0, song 1." in notes


def test_metrics_tell_progress_and_end(make_job):
    job = make_job(epochs=2, schedule="constant", warmup_ratio=0.0)
    seen = []
    train(job, on_step=seen.append)
    lines = read_metrics(job)
    assert (lines[0]["event"], lines[-1]["event"]) == ("start", "done")
    steps = read_metrics(job, "step")
    assert [line["step"] for line in steps] == [event.step for event in seen] == list(range(1, 11))
    assert [line["epoch"] for line in steps] == [1] * 5 + [2] * 5
    assert steps[4]["progress"] == 50.0
    assert steps[-1]["eta_sec"] == 0
    assert all(line["lr"] == 1e-4 and line["grad_norm"] > 0 and len(line["per_codebook"]) == 8 for line in steps)
    assert all(line["loss"] == pytest.approx(sum(line["per_codebook"]) / 8) for line in steps)


def test_max_steps_ends_the_run_in_mid_epoch_with_an_evaluation(make_job):
    job = make_job(epochs=10, max_steps=7)
    assert train(job).total_steps == 7
    assert [line["step"] for line in read_metrics(job, "eval")] == [0, 5, 7]


def test_long_songs_are_cut_and_only_their_last_window_learns_to_end(make_job, base_dir):
    job = make_job(num_songs=1, rows=[song_row(0, 60)], max_window_sec=2)
    base = find_base(base_dir)
    examples, _ = load_examples(job / "dataset", base, load_heartmula(base.model).config, 2.0)
    assert [examples.num_targets(i) for i in range(len(examples))] == [20, 20, 21]
    assert [(examples[i].targets == AUDIO_EOS_ID).all(1).sum().item() for i in range(3)] == [0, 0, 1]


def test_the_seed_decides_the_curve(make_job):
    same = [loss_curve_of(make_job(name, seed=1, conditioning_dropout=0.5, depth_frame_fraction=0.5)) for name in "ab"]
    assert same[0] == same[1]
    assert same[0] != loss_curve_of(make_job("c", seed=2, conditioning_dropout=0.5, depth_frame_fraction=0.5))


def loss_curve_of(job) -> list[tuple]:
    train(job)
    return loss_curve(job)


def test_accumulated_micro_batches_equal_one_big_batch(make_job):
    """Songs differ in length and the last step of the epoch is not full: the mean is over frames, not over parts."""
    settings = {"learning_rate": 1e-3, "depth_frame_fraction": 0.5, "conditioning_dropout": 0.5, "epochs": 3}
    whole, parts = (
        make_job("whole", batch_size=3, **settings),
        make_job("parts", gradient_accumulation_steps=3, **settings),
    )
    train(whole)
    train(parts)
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)


def test_gradient_checkpointing_changes_memory_and_not_the_curve(make_job):
    jobs = [make_job(f"{on}", gradient_checkpointing=on, learning_rate=1e-3) for on in (False, True)]
    for job in jobs:
        train(job)
    assert losses(jobs[1]) == pytest.approx(losses(jobs[0]), abs=1e-6)


def test_lora_dropout_is_reproducible(make_job):
    curves = [loss_curve_of(make_job(name, lora={"dropout": 0.3})) for name in "ab"]
    assert curves[0] == curves[1]
    assert curves[0] != loss_curve_of(make_job("none"))


def test_bfloat16_stays_close_to_float32(make_job):
    jobs = {name: make_job(name, mixed_precision=name, learning_rate=1e-3) for name in ("no", "bf16")}
    for job in jobs.values():
        train(job)
    assert losses(jobs["bf16"]) == pytest.approx(losses(jobs["no"]), abs=0.05)
    assert losses(jobs["bf16"]) != losses(jobs["no"])


def test_a_bfloat16_base_carries_a_float32_adapter(make_job):
    result = train(make_job(base_dtype="bfloat16", learning_rate=1e-3))
    weights = load_file(result.checkpoint / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def changed_tensors(checkpoint, base_dir) -> dict[str, bool]:
    before = load_heartmula(find_base(base_dir).model).state_dict()
    after = load_heartmula(checkpoint).state_dict()
    return {name: not torch.equal(before[name], after[name]) for name in before}


def test_a_full_fine_tune_changes_every_parameter(make_job, base_dir):
    """Also the unconditional embedding, through dropped prompts, and the bias that fills the reference slot.

    `muq_linear.weight` sees zeros only, so by itself it never gets a gradient; weight decay moves it.
    """
    result = train(make_job(method="full", learning_rate=1e-3, conditioning_dropout=0.5, weight_decay=0.1, epochs=3))
    changed = changed_tensors(result.checkpoint, base_dir)
    assert [name for name, has_changed in changed.items() if not has_changed] == []


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_conditioning_dropout_swaps_the_whole_prompt_for_the_unconditional_embedding(make_job, base_dir, dropout):
    settings = {"method": "full", "conditioning_dropout": dropout, "weight_decay": 0.0, "epochs": 1}
    changed = changed_tensors(train(make_job(learning_rate=1e-3, **settings)).checkpoint, base_dir)
    assert changed["text_embeddings.weight"] == changed["muq_linear.bias"] == (dropout == 0)
    assert changed["unconditional_text_embedding.weight"] == (dropout == 1)


def test_resolved_settings_and_versions_lie_beside_the_result(make_job):
    result = train(make_job(lora={"rank": 4}))
    meta = json.loads((result.checkpoint / "meta.json").read_text())
    assert meta["config"]["lora"]["rank"] == 4
    assert meta["config"]["weight_decay"] == 0.01
    assert meta["losses"]["initial"] == result.initial_loss
    assert meta["base_model"]["name"] == "HeartMuLa-golden"
    assert len(meta["base_model"]["fingerprint"]) == 16
    assert meta["held_out_songs"] == ["song 5"]
    assert torch.__version__.startswith(meta["versions"]["torch"])
