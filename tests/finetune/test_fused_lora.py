"""The fused layer beside PEFT's own, on the same weights."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, read_heartmula_config
from heartmula_studio.dataset.batch import Batch
from heartmula_studio.finetune.adapters import peft_config
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.evaluate import batch_loss
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.fused_lora import FusedLoraLinear
from heartmula_studio.finetune.model_setup import (
    load_base,
    load_network,
    restore_weights,
    trainable_weights,
    unwrap_base,
)

CPU = torch.device("cpu")
KINDS = [{}, {"use_rslora": True}, {"dropout": 0.3}, {"target_modules": ("q_proj", "w2")}, {"use_dora": True}]


@pytest.fixture
def make_pair(base_dir) -> Callable[..., tuple[PeftModel, PeftModel]]:
    """make_pair(base_dtype, **lora) → networks of our layers and of PEFT's, with an adapter that changes something."""

    def make(base_dtype: str = "float32", **lora) -> tuple[PeftModel, PeftModel]:
        base = find_base("nano" if base_dtype == "nf4" else base_dir)  # the golden base's layers are too small for it
        settings = LoraSettings(**lora)
        fused = load_network(base, TrainConfig(base_dtype=base_dtype, lora=settings), CPU)
        config = peft_config(settings, ())
        config._custom_modules = None
        theirs = get_peft_model(load_base(base, base_dtype, CPU), config).train()
        generator = torch.Generator().manual_seed(0)
        weights = {
            name: weight + 0.05 * torch.randn(weight.shape, generator=generator)
            for name, weight in trainable_weights(fused).items()
        }
        for network in (fused, theirs):
            restore_weights(network, weights)
        return fused, theirs

    return make


@pytest.fixture
def batch(make_job, base_dir) -> Batch:
    return first_batch(make_job(), find_base(base_dir))


def first_batch(job: Path, base: BaseFolder) -> Batch:
    examples, _ = load_examples(job / "dataset", base, read_heartmula_config(base.model), 240.0)
    return Batch.collate([examples[0], examples[1]])


def loss_and_gradient(network: nn.Module, batch: Batch, autocast: bool = False) -> tuple[Tensor, Tensor]:
    """The loss, and the gradient of all of the adapter as one vector."""
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = batch_loss(network, batch).total()
    loss.backward()
    gradients = [weight.grad for weight in network.parameters() if weight.requires_grad]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    return loss.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def num_fused(network: nn.Module) -> int:
    return sum(isinstance(module, FusedLoraLinear) for module in network.modules())


@pytest.mark.parametrize("lora", KINDS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_losses_and_gradients_are_those_of_peft(make_pair, batch, lora, checkpointing):
    pair = make_pair(**lora)
    assert [num_fused(network) > 0 for network in pair] == [True, False]
    for network in pair:
        unwrap_base(network).enable_gradient_checkpointing(checkpointing)
    (loss, gradient), (their_loss, their_gradient) = (loss_and_gradient(network, batch) for network in pair)
    assert distance(loss, their_loss) < 1e-6
    assert distance(gradient, their_gradient) < 1e-6


@pytest.mark.parametrize("lora", [{}, {"dropout": 0.3}, {"use_dora": True}])
def test_compiled_it_has_the_gradients_it_has_otherwise(lora):
    """P: of a tensor that an autograd function gets twice, torch.compile keeps the last place's gradient only."""

    def gradient(compile_network: Callable[[nn.Module], nn.Module]) -> Tensor:
        torch.manual_seed(0)
        layers = nn.ModuleDict({name: nn.Linear(8, 8, bias=False) for name in ("w1", "w2")})
        base = nn.Sequential(OrderedDict(layers))
        network = get_peft_model(
            base, peft_config(LoraSettings(rank=2, target_modules=tuple(layers), **lora), ())
        ).train()
        trained = [weight.normal_(std=0.3) for weight in trainable_weights(network).values()]
        assert len(trained) >= 4
        compile_network(network)(torch.randn(2, 3, 8)).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad])

    as_it_is = gradient(lambda network: network)
    assert distance(gradient(lambda network: torch.compile(network, backend="aot_eager")), as_it_is) < 1e-6


@pytest.mark.parametrize("base_dtype", ["float32", "bfloat16"])
def test_under_autocast_it_is_as_close_to_float32_as_peft(make_pair, batch, base_dtype):
    pair = make_pair(base_dtype)
    _, exact = loss_and_gradient(copy.deepcopy(pair[1]).float(), batch)
    ours, theirs = (loss_and_gradient(network, batch, autocast=True)[1] for network in pair)
    assert distance(ours, exact) < 1.1 * distance(theirs, exact) < 0.05
    assert distance(ours, theirs) < 0.05


def test_without_autocast_a_base_in_bfloat16_is_left_to_peft(make_pair, batch):
    ours, theirs = (loss_and_gradient(network, batch) for network in make_pair("bfloat16"))
    assert all(map(torch.equal, ours, theirs))


def test_on_a_base_in_four_bits_it_is_close_to_peft(make_pair, make_job, songs):
    pair, batch = make_pair("nf4"), first_batch(make_job(rows=songs), find_base("nano"))
    (loss, gradient), (their_loss, their_gradient) = (loss_and_gradient(network, batch, True) for network in pair)
    assert distance(loss, their_loss) < 0.01
    assert distance(gradient, their_gradient) < 0.05


@torch.no_grad()
def test_an_adapter_that_is_off_or_merged_is_left_to_peft(make_pair, batch):
    fused, theirs = make_pair()
    with fused.disable_adapter(), theirs.disable_adapter():
        assert torch.equal(batch_loss(fused, batch).sums, batch_loss(theirs, batch).sums)
    for network in (fused, theirs):
        network.merge_adapter()
    assert torch.equal(batch_loss(fused, batch).sums, batch_loss(theirs, batch).sums)


def test_it_keeps_less_for_the_way_back(make_pair, batch):
    fused, theirs = (kept_bytes(network, batch) for network in make_pair("bfloat16"))
    assert fused < 0.9 * theirs


def kept_bytes(network: nn.Module, batch: Batch) -> int:
    """What a forward pass under autocast keeps, weights and shared storage aside."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        batch_loss(network, batch)
    return sum(storage.nbytes() for storage in kept.values())


def test_what_it_writes_is_what_peft_writes(make_pair, tmp_path):
    for name, network in zip(("fused", "theirs"), make_pair(), strict=True):
        unwrap_base(network).name_or_path = "base"
        network.peft_config["default"].base_model_name_or_path = "base"
        network.save_pretrained(tmp_path / name, save_embedding_layers=False)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "fused" / file).read_bytes() == (tmp_path / "theirs" / file).read_bytes()
