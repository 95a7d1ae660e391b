"""Every kind of adapter: trained, resumed bit for bit, read by PEFT alone, and played by the engine as PEFT does."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from heartmula_studio.arch.audio_head import AudioHead
from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.dataset.batch import Batch
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.costs.memory import lora_parameters, tensor_shapes
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.model_setup import load_network, restore_weights, trainable_weights
from heartmula_studio.finetune.parent import follow_parent
from heartmula_studio.finetune.state import load_state
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import describe_adapter
from heartmula_studio.generate.base_model import BaseModel
from tests.finetune.training_jobs import loss_curve, song_row, write_job

KINDS = {
    "loha": {"kind": "loha", "rank": 4},
    "lokr": {"kind": "lokr", "rank": 2},
    "pissa": {"kind": "pissa", "rank": 4},
    "pissa with patterns": {
        "kind": "pissa", "rank": 4, "use_rslora": True, "rank_pattern": "q_proj=2", "alpha_pattern": "decoder.*=4",
    },
    "audio_head": {"rank": 4, "audio_head": True, "rank_pattern": "audio_head.weight=2"},
    "patterns": {"rank_pattern": "backbone.layers.0.*=3, w1=2", "alpha_pattern": "w1=5"},
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory, base_dir):
    """The folder of a run of each kind."""
    rows = [song_row(i, 10 + 3 * i) for i in range(6)]
    settings = {"epochs": 1, "learning_rate": 1e-2, "lora": KINDS[request.param], "base_model": str(base_dir)}
    job = write_job(tmp_path_factory.mktemp("jobs") / "job", rows, **settings)
    train(job)
    return job


def logits(network, job, base):
    examples, _ = load_examples(job / "dataset", base, load_heartmula(base.model).config, 240.0)
    batch = Batch.collate([examples[0]])
    with torch.no_grad():
        found = network.eval()(
            batch.tokens, batch.mask, batch.muq_positions, batch.unconditional, batch.predict, batch.targets
        )
    return torch.cat(found, dim=1)


def with_head_module(model: HeartMuLa) -> HeartMuLa:
    """A base that PEFT can put any of our adapters on."""
    model.replace_audio_head(AudioHead(model.audio_head))
    return model


def test_peft_and_the_engine_give_the_trained_networks_logits(trained, base_dir):
    base, folder = find_base(base_dir), trained / "checkpoints" / "last"
    network = load_network(base, TrainConfig.load(trained / "config.json"), torch.device("cpu"))
    restore_weights(network, load_state(trained / "state").weights)
    expected = logits(network, trained, base)
    plain = PeftModel.from_pretrained(with_head_module(load_heartmula(base.model)), folder)
    torch.testing.assert_close(logits(plain, trained, base), expected, atol=1e-5, rtol=0)
    model = load_heartmula(base.model)
    untouched = logits(model, trained, base)
    adapter = Adapter(model, describe_adapter(folder, BaseModel.of(model, "")))
    torch.testing.assert_close(logits(model, trained, base), expected, atol=1e-5, rtol=0)
    assert (expected - untouched).abs().max() > 1e-3
    adapter.detach()
    assert torch.equal(logits(model, trained, base), untouched)


def test_a_stopped_run_repeats_itself(trained, tmp_path, base_dir):
    settings = json.loads((trained / "config.json").read_text())
    job = write_job(tmp_path / "again", [song_row(i, 10 + 3 * i) for i in range(6)], **settings)
    train(job, on_step=lambda event: (job / "stop").touch() if event.step == 2 else None)
    train(job)
    assert loss_curve(job) == loss_curve(trained)
    states = [load_file(run / "state" / "step-00000005" / "weights.safetensors") for run in (job, trained)]
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())


def test_its_parameters_are_counted(trained, base_dir):
    config, base = TrainConfig.load(trained / "config.json"), find_base(base_dir)
    network = load_network(base, config, torch.device("cpu"))
    expected = sum(tensor.numel() for tensor in trainable_weights(network).values())
    assert lora_parameters(tensor_shapes(base.model), config) == expected


def test_it_can_be_trained_further(trained, tmp_path, base_dir):
    folder = trained / "checkpoints" / "last"
    followed = follow_parent(folder, find_base(base_dir).model, "lora", {})
    lora = {name.removeprefix("lora_"): value for name, value in followed.items() if name.startswith("lora_")}
    settings = {"base_model": str(base_dir), "epochs": 1, "max_steps": 1, "lora": lora, "start_from": str(folder)}
    result = train(write_job(tmp_path / "child", [song_row(i, 10 + 3 * i) for i in range(6)], **settings))
    assert result.initial_loss == pytest.approx(
        json.loads((folder / "meta.json").read_text())["losses"]["eval"], abs=1e-4
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "loha", "use_dora": True}, "use_dora"),
        ({"kind": "lokr", "dropout": 0.1}, "dropout"),
        ({"kind": "pissa", "audio_head": True}, "audio_head"),
        ({"audio_head": True, "dropout": 0.1}, "audio_head"),
        ({"rank_pattern": "q_proj"}, "q_proj"),
        ({"rank_pattern": "q_proj=1.5"}, "whole"),
        ({"rank_pattern": "q_proj=999"}, "q_proj=999"),
        ({"alpha_pattern": "(a+)+=3"}, "alpha_pattern"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, said):
    with pytest.raises(InvalidInputError, match=said):
        LoraSettings(**settings)


def test_a_pattern_for_no_layer_is_refused_before_training(make_job):
    with pytest.raises(InvalidInputError, match="matches no layer"):
        train(make_job(lora={"rank_pattern": "nowhere.*=4"}))
