"""What a training step is said to take, against all that it allocates on the CPU."""

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.profiler import ProfilerActivity, profile

from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor
from heartmula_studio.dataset.batch import Batch
from heartmula_studio.finetune.adapters import peft_config
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.costs.activations import PROMPT_POSITIONS, activation_bytes
from heartmula_studio.finetune.dtypes import DTYPES
from heartmula_studio.finetune.evaluate import batch_loss

FRAMES = 256
NETWORK = HeartMuLaConfig(
    LlamaFlavor(6, 6, 2, embed_dim=96, intermediate_dim=256, max_seq_len=1024),
    LlamaFlavor(3, 2, 1, embed_dim=96, intermediate_dim=256, max_seq_len=8),
    text_vocab_size=100,
    audio_vocab_size=61,
)
MIXED = {"base_dtype": "bfloat16", "mixed_precision": "bf16"}


@pytest.fixture(scope="module")
def batch() -> Batch:
    """A window of as long a prompt as is reckoned with."""
    positions = PROMPT_POSITIONS + FRAMES
    generator = torch.Generator().manual_seed(0)
    predict = torch.arange(positions)[None] >= PROMPT_POSITIONS
    return Batch(
        tokens=torch.randint(0, 61, (1, positions, 9), generator=generator),
        mask=torch.ones(1, positions, 9, dtype=torch.bool),
        muq_positions=torch.tensor([1]),
        unconditional=torch.tensor([False]),
        predict=predict,
        targets=torch.randint(0, 61, (FRAMES, 8), generator=generator),
    )


@pytest.mark.parametrize("depth_positions_at_once", [512, 8192])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_in_float32_takes_what_was_foreseen(batch, monkeypatch, checkpointing, depth_positions_at_once):
    monkeypatch.setattr(HeartMuLa, "depth_positions_at_once", depth_positions_at_once)
    assert share_foreseen(batch, gradient_checkpointing=checkpointing) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    "settings",
    [
        MIXED,
        MIXED | {"method": "full"},
        pytest.param(MIXED | {"base_dtype": "float32"}, marks=pytest.mark.long),
        pytest.param(MIXED | {"mixed_precision": "no"}, marks=pytest.mark.long),
        pytest.param(MIXED | {"lora": LoraSettings(dropout=0.1)}, marks=pytest.mark.long),
        pytest.param(MIXED | {"lora": LoraSettings(use_dora=True)}, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_in_other_types_takes_nearly_what_was_foreseen(batch, settings, checkpointing):
    """Norms in 16 bits keep less on a GPU, which is what was foreseen."""
    assert 0.75 < share_foreseen(batch, gradient_checkpointing=checkpointing, **settings) < 1.35


def share_foreseen(batch: Batch, **settings) -> float:
    config = TrainConfig(**settings)
    return activation_bytes(NETWORK, FRAMES, config) / most_bytes(make_network(config), batch, config)


def make_network(config: TrainConfig) -> nn.Module:
    torch.manual_seed(0)
    network = HeartMuLa(NETWORK)
    network.initialise()
    network.to(DTYPES[config.base_dtype]).enable_gradient_checkpointing(config.gradient_checkpointing)
    return network if config.method == "full" else get_peft_model(network, peft_config(config.lora, ()))


def most_bytes(network: nn.Module, batch: Batch, config: TrainConfig) -> int:
    """The peak that a step has allocated at once, without the gradients that it leaves."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.mixed_precision == "bf16"):
            loss = batch_loss(network, batch).total()
        loss.backward()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak - held
