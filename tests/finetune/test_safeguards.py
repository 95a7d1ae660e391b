"""What a run can be asked for beside learning: an average of its weights, an end when it diverges, a trigger word, and
its measurements for TensorBoard.
"""

import json

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.loss_alarm import loss_alarm
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.setup import set_up
from tests.finetune.training_jobs import loss_curve, read_metrics

DIVERGING = {"method": "full", "learning_rate": 1e-1, "schedule": "constant", "warmup_ratio": 0.0}


def test_checkpoints_hold_the_average_and_a_resumed_run_goes_on_with_it(make_job):
    settings = {"epochs": 1, "learning_rate": 1e-2, "ema_decay": 0.9}
    whole, broken, plain = make_job("whole", **settings), make_job("broken", **settings), make_job("plain", epochs=1)
    train(whole)
    train(broken, on_step=lambda event: (broken / "stop").touch() if event.step == 2 else None)
    train(broken)
    assert loss_curve(broken) == loss_curve(whole)
    state = whole / "state" / "step-00000005"
    average, weights = (load_file(state / f"{name}.safetensors") for name in ("average", "weights"))
    saved = load_file(whole / "checkpoints" / "last" / "adapter_model.safetensors")
    assert all(torch.equal(saved[name.replace(".default", "")], tensor) for name, tensor in average.items())
    assert not any(torch.equal(average[name], tensor) for name, tensor in weights.items() if "lora_B" in name)
    train(plain)
    assert not (plain / "state" / "step-00000005" / "average.safetensors").exists()


def test_a_run_whose_held_out_loss_rises_ends_early_and_says_why(make_job):
    job = make_job(epochs=6, loss_alarm=0.01, **DIVERGING)
    result = train(job)
    assert (result.status, result.total_steps) == ("completed", 30)
    assert result.step < 30
    [done] = read_metrics(job, "done")
    assert "above its lowest" in done["alarm"]
    assert done["alarm"] in result.notes
    assert done["alarm"] in (job / "logs.txt").read_text()
    assert train(job).step == result.step


@pytest.mark.parametrize(
    ("losses", "is_alarmed"),
    [((None, None, None), False), ((4.0, None, 4.0), False), ((4.0, 3.0, 3.2), False), ((4.0, 3.0, 3.4), True),
     ((4.0, 5.0, 5.0), True), ((None, 3.0, 3.4), True)],
)  # fmt: skip
def test_the_alarm_compares_with_the_lowest_held_out_loss(losses, is_alarmed):
    assert bool(loss_alarm(0.1, *losses)) == is_alarmed
    assert not loss_alarm(None, *losses)


def test_a_trigger_word_is_learnt_with_every_song_and_kept(make_job, base_dir):
    job = make_job(epochs=1, max_steps=1, trigger_word="zxq")
    setup = set_up(RunFolder(job), TrainConfig.load(job / "config.json"))
    layout = PromptLayout.load(find_base(base_dir))
    window = setup.held_out.windows[0]
    expected = layout.build(f"zxq,{window.tags}", window.lyrics)
    assert torch.equal(setup.held_out.prompts[0].tokens, expected.tokens)
    train(job)
    assert json.loads((job / "checkpoints/last/meta.json").read_text())["trigger_word"] == "zxq"


@pytest.mark.parametrize("settings", [{"trigger_word": "a,b"}, {"method": "full", "ema_decay": 0.9}])
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(InvalidInputError):
        TrainConfig(**settings)


def test_measurements_reach_tensorboard_where_they_are_asked_for(make_job):
    job, plain = make_job(epochs=1, tracker="tensorboard"), make_job("plain", epochs=1, max_steps=1)
    train(job, on_step=lambda event: (job / "stop").touch() if event.step == 1 else None)
    train(job)
    events = EventAccumulator(str(job / "tracking" / "run")).Reload()
    steps = read_metrics(job, "step")
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (step["step"], pytest.approx(step["loss"])) for step in steps
    ]
    assert [event.step for event in events.Scalars("held_out/loss")] == [0, 5]
    train(plain)
    assert not (plain / "tracking").exists()
