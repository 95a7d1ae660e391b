"""Adapters open with plain PEFT on plain HeartMuLa; full checkpoints with the loader every base goes through."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import find_base, load_heartmula
from heartmula_studio.dataset.batch import Batch
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.model_setup import load_network, restore_weights, unwrap_base
from heartmula_studio.finetune.state import load_state


@torch.no_grad()
def logits(network, job, base) -> torch.Tensor:
    examples, _ = load_examples(job / "dataset", base, unwrap_base(network).config, 240.0)
    batch = Batch.collate([examples[0], examples[1]])
    codebook0, depth = network.eval()(
        batch.tokens, batch.mask, batch.muq_positions, batch.unconditional, batch.predict, batch.targets
    )
    return torch.cat([codebook0, depth], dim=1)


def trained_network(job, base):
    """The network as the trainer had it after the last step."""
    network = load_network(base, TrainConfig.load(job / "config.json"), torch.device("cpu"))
    restore_weights(network, load_state(job / "state").weights)
    return network


@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}, {"use_dora": True}, {"target_modules": ["q_proj", "w2"]}])
def test_plain_peft_loads_the_adapter_and_gives_the_trained_networks_logits(make_job, base_dir, lora):
    job = make_job(learning_rate=1e-2, lora=lora)
    train(job)
    base, folder = find_base(base_dir), job / "checkpoints" / "last"
    plain = PeftModel.from_pretrained(load_heartmula(base.model), folder)
    expected = logits(trained_network(job, base), job, base)
    torch.testing.assert_close(logits(plain, job, base), expected)
    assert not torch.allclose(logits(load_heartmula(base.model), job, base), expected, atol=1e-3)


def test_an_adapter_folder_holds_pefts_two_files_and_where_they_come_from(make_job, base_dir):
    folder = train(make_job(lora={"rank": 4, "alpha": 32.0})).checkpoint
    assert {path.name for path in folder.iterdir()} == {"adapter_model.safetensors", "adapter_config.json", "meta.json"}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 32.0)
    assert config["base_model_name_or_path"] == "HeartMuLa-golden"
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["base_model"] == {
        "name": "HeartMuLa-golden",
        "fingerprint": fingerprint(find_base(base_dir).model),
    }


def test_the_id_of_a_checkpoint_tells_its_weights_apart(make_job):
    ids = []
    for job in (make_job("a", epochs=1), make_job("b", epochs=1), make_job("c", epochs=1, seed=1)):
        train(job)
        metas = [json.loads((job / "checkpoints" / name / "meta.json").read_text()) for name in ("best", "last")]
        ids.append([meta["id"] for meta in metas])
    assert ids[0] == ids[1] != ids[2]
    assert ids[0][0] == ids[0][1]
    assert ids[0][0].isalnum()


def test_both_transformers_are_adapted_and_nothing_else(make_job):
    names = load_file(train(make_job()).checkpoint / "adapter_model.safetensors")
    modules = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for name in names}
    assert {module.split(".")[0] for module in modules} == {"backbone", "decoder"}
    assert len(modules) == 7 * (3 + 2)  # seven linears in each layer of both


def test_a_full_checkpoint_is_a_base_model_folder(make_job, base_dir):
    job = make_job(method="full", learning_rate=1e-3)
    train(job)
    base, folder = find_base(base_dir), job / "checkpoints" / "last"
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "meta.json"}
    expected = logits(trained_network(job, base), job, base)
    assert torch.equal(logits(load_heartmula(folder), job, base), expected)


def test_a_full_checkpoint_in_bfloat16_takes_half_the_room(make_job):
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        folder = train(make_job(dtype, method="full", epochs=1, save_dtype=dtype)).checkpoint
        sizes[dtype] = (folder / "model.safetensors").stat().st_size
    assert sizes["bfloat16"] / sizes["float32"] == pytest.approx(0.5, abs=0.02)


def test_the_fingerprint_tells_weights_apart(make_job, base_dir):
    base = find_base(base_dir)
    tuned = train(make_job(method="full", epochs=1)).checkpoint
    assert fingerprint(base.model) == fingerprint(base.model)
    assert fingerprint(base.model) != fingerprint(tuned)
