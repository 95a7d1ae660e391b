"""The golden base as a folder on disk, adapters and full checkpoints for it, and logits through the generation path."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from heartmula_studio.arch.checkpoints import load_heartmula, save_model
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.dataset.batch import Batch, make_example
from heartmula_studio.dataset.prompt import Prompt, SpecialTokens
from heartmula_studio.generate.decoding.frame_decoder import FrameDecoder, InferenceModel
from heartmula_studio.generate.decoding.sampling import apply_cfg
from heartmula_studio.generate.engine import Engine

GOLDEN = Path(__file__).parent.parent / "golden"
LINEARS = ["q_proj", "k_proj", "v_proj", "output_proj", "w1", "w2", "w3"]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory) -> Path:
    """The golden set in heartlib's layout."""
    root = tmp_path_factory.mktemp("golden_base")
    for name, target in {"HeartMuLa-golden": "heartmula", "HeartCodec-golden": "heartcodec"}.items():
        os.symlink(GOLDEN / target, root / name)
    for name in ("tokenizer.json", "gen_config.json"):
        os.symlink(GOLDEN / name, root / name)
    return root


@pytest.fixture(scope="session")
def prompt(golden) -> Prompt:
    return Prompt(golden["prompt.tokens"][0], golden["prompt.tokens_mask"][0].bool(), golden["prompt.muq_idx"].item())


@pytest.fixture(scope="session")
def loaded_engine(base_folder) -> Engine:
    return Engine.load(base_folder, device="cpu")


@pytest.fixture
def engine(loaded_engine, short_windows) -> Iterator[Engine]:
    """On the base, with no style, which is how it is left, too."""
    yield loaded_engine
    if loaded_engine.active:
        loaded_engine.deactivate()


@pytest.fixture
def logits(engine, forced_logits):
    return lambda: forced_logits(engine.model)


@pytest.fixture(scope="session")
def adapters(tmp_path_factory) -> Callable[..., Path]:
    """A random adapter as training would save it, with `settings` for its LoraConfig; made once for all tests."""
    folders: dict[str, Path] = {}

    def folder_of(seed: int, **settings) -> Path:
        asked_for = repr((seed, sorted(settings.items())))
        if asked_for not in folders:
            folders[asked_for] = tmp_path_factory.mktemp("adapter")
            make_adapter(folders[asked_for], seed, **settings)
        return folders[asked_for]

    return folder_of


def make_adapter(folder: Path, seed: int, **settings) -> None:
    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": LINEARS} | settings)
    network = get_peft_model(load_heartmula(GOLDEN / "heartmula"), config)
    for parameter_name, parameter in network.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
        elif "magnitude" in parameter_name:
            parameter.data.mul_(1.1)
    network.save_pretrained(folder)


@pytest.fixture
def save_adapter(adapters, tmp_path) -> Callable[..., Path]:
    """save_adapter(name="style", seed=0, **settings) → a copy of one of `adapters`, to be used and damaged."""

    def save(name: str = "style", seed: int = 0, **settings) -> Path:
        return shutil.copytree(adapters(seed, **settings), tmp_path / name, dirs_exist_ok=True)

    return save


@pytest.fixture
def save_full(tmp_path) -> Callable[..., Path]:
    """Saves a full checkpoint whose tensors named `changed` differ from the base's."""

    def save(name: str = "full", changed: tuple[str, ...] = ("audio_head", "muq_linear.bias")) -> Path:
        model = load_heartmula(GOLDEN / "heartmula")
        for parameter_name in changed:
            model.get_parameter(parameter_name).data.add_(0.1)
        save_model(model, model.config.to_dict(), tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def uncached_logits(prompt, golden) -> Callable[..., Tensor]:
    """The same as `forced_logits` by the network's own forward, over the whole song at once."""
    special = SpecialTokens(text_bos_id=331, text_eos_id=332, audio_eos_id=130, empty_id=0)

    @torch.inference_mode()
    def run(model: HeartMuLa, cfg_scale: float = 1.5, codes: Tensor | None = None) -> Tensor:
        codes = golden["codes"] if codes is None else codes
        batch = Batch.collate([make_example(prompt, codes.T, special, ends_song=False)])
        conditional, unconditional = (
            torch.cat(
                model(
                    batch.tokens, batch.mask, batch.muq_positions, torch.tensor([dropped]), batch.predict, batch.targets
                ),
                dim=1,
            ).float()
            for dropped in (False, True)
        )
        return unconditional + (conditional - unconditional) * cfg_scale

    return run


@pytest.fixture
def forced_logits(prompt, golden) -> Callable[..., Tensor]:
    """Guided logits [T, K, V] for forced codes [T, K], from the very path that generates songs."""

    @torch.inference_mode()
    def run(model: HeartMuLa, cfg_scale: float = 1.5, codes: Tensor | None = None) -> Tensor:
        codes = golden["codes"] if codes is None else codes
        decoder = FrameDecoder(InferenceModel(model), 1, cfg_scale > 1, len(prompt.tokens) + len(codes))
        decoder.prefill([prompt], [cfg_scale])
        frames = []
        for frame in codes.to(model.codebook0_head.weight.device):
            seen: list[Tensor] = []
            decoder.choose_frame(lambda k, logits, frame=frame, seen=seen: (seen.append(logits), frame[k : k + 1])[1])
            seen = [apply_cfg(logits.float(), decoder.cfg_scale) for logits in seen]
            decoder.append_frame(frame[None])
            frames.append(torch.cat(seen))
        return torch.stack(frames)

    return run
