"""Broken, foreign and hostile adapters: each is refused in its own words, and nothing of it is loaded."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder, find_base
from heartmula_studio.errors import (
    AlphaNeededError,
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
    StudioError,
)
from heartmula_studio.generate.adapter_formats.folders import translate_folder
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.style import check_fit, check_values
from heartmula_studio.store.archives import unpack

LAYER, WIDTH, OUT = "backbone.layers.0.attn.q_proj", 96, 96
KOHYA = "lora_unet_" + LAYER.replace(".", "_")
PEFT = f"base_model.model.{LAYER}"
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": [LAYER]}
WEIGHTS = "adapter_model.safetensors"

Make = Callable[[Path], None]


@pytest.fixture(scope="module")
def base(base_folder) -> BaseFolder:
    return find_base(base_folder)


def ones(*shape: int) -> Tensor:
    return torch.full(shape, 0.1)


def kohya(changes: dict[str, Tensor | None] | None = None, stem: str = KOHYA) -> dict[str, Tensor]:
    """A plain LoRA of one layer by kohya's names, with tensors changed, added or, by None, left out."""
    tensors = {"lora_down.weight": ones(4, WIDTH), "lora_up.weight": ones(OUT, 4), "alpha": torch.tensor(4.0)}
    named = {f"{stem}.{name}": tensor for name, tensor in tensors.items()} | (changes or {})
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def peft(changes: dict[str, Tensor] | None = None, stem: str = PEFT) -> dict[str, Tensor]:
    return {f"{stem}.lora_A.weight": ones(4, WIDTH), f"{stem}.lora_B.weight": ones(OUT, 4)} | (changes or {})


def file(tensors: dict[str, Tensor], config: object = None, name: str = WEIGHTS) -> Make:
    def make(folder: Path) -> None:
        save_file(tensors, folder / name)
        if config is not None:
            (folder / "adapter_config.json").write_text(json.dumps(config))

    return make


def raw(content: bytes) -> Make:
    return lambda folder: folder.joinpath(WEIGHTS).write_bytes(content)


def header(**entries: object) -> Make:
    text = json.dumps(entries).encode()
    return raw(struct.pack("<Q", len(text)) + text + bytes(64))


def in_full(folder: Path) -> None:
    """A whole change with values that are no numbers, which only merging sees."""
    tensors = {f"{KOHYA}.diff": torch.full((OUT, WIDTH), torch.nan), "lora_unet_muq_linear.diff": ones(96, 512)}
    save_file(tensors, folder / WEIGHTS)


LOKR = {f"{KOHYA}.lokr_w1": ones(4, 4), f"{KOHYA}.lokr_w2": ones(24, 23)}
LOHA = {f"{KOHYA}.hada_w{n}_{side}": ones(*((OUT, 2) if side == "a" else (2, WIDTH))) for n in (1, 2) for side in "ab"}
LLAMA_LOKR = {
    f"lycoris_{LAYER.replace('attn', 'self_attn').replace('.', '_')}.{name}": tensor
    for name, tensor in {"lokr_w1": ones(12, 12), "lokr_w2": ones(8, 8)}.items()
}
HEAD = "base_model.model.codebook0_head.weight"

CORRUPT, MISMATCH, MISSING = CheckpointCorruptError, CheckpointMismatchError, CheckpointMissingError
CASES: dict[str, tuple[Make, type[StudioError], str]] = {
    "empty file": (raw(b""), CORRUPT, "is empty"),
    "no tensors": (file({}), MISMATCH, "contains no adapter layers"),
    "cut off": (
        lambda folder: (file(kohya())(folder), (p := folder / WEIGHTS).write_bytes(p.read_bytes()[:-400]))[0],
        CORRUPT,
        "is truncated",
    ),
    "an HTML page": (raw(b"<!DOCTYPE html><html><title>404</title>" * 9), CORRUPT, "not a whole safetensors"),
    "a pointer of Git LFS": (
        raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        CORRUPT,
        "Git LFS pointer",
    ),
    "a pickle": (raw(pickle.dumps([1] * 50)), CORRUPT, "should be .* bytes long"),
    "a header without end": (raw(struct.pack("<Q", 2**40) + b"{}"), CORRUPT, "1,099,511,627,776 bytes"),
    "overlapping tensors": (
        header(
            a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
            b={"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
        ),
        CORRUPT,
        "overlaps",
    ),
    "a shape that lies": (
        header(a={"dtype": "F32", "shape": [2**31], "data_offsets": [0, 16]}),
        CORRUPT,
        "does not match its shape",
    ),
    "not a number": (file(kohya({f"{KOHYA}.lora_up.weight": ones(OUT, 4) * torch.nan})), CORRUPT, "not numbers"),
    "too large": (file(kohya({f"{KOHYA}.lora_up.weight": ones(OUT, 4) * 1e20})), CORRUPT, "too large"),
    "whole and not a number": (in_full, CORRUPT, "not numbers"),
    "alpha 0": (file(kohya({f"{KOHYA}.alpha": torch.tensor(0.0)})), CORRUPT, "alpha for"),
    "alpha infinite": (file(kohya({f"{KOHYA}.alpha": torch.tensor(torch.inf)})), CORRUPT, "alpha for"),
    "five alphas": (file(kohya({f"{KOHYA}.alpha": ones(5)})), CORRUPT, "alpha for"),
    "no alpha": (file(peft()), AlphaNeededError, "does not state its alpha"),
    "8-bit floats": (
        file({name: tensor.to(torch.float8_e4m3fn) for name, tensor in peft().items()}),
        MISMATCH,
        "F8_E4M3",
    ),
    "whole numbers": (file({name: tensor.int() for name, tensor in peft().items()}), MISMATCH, "I32"),
    "one half": (file(kohya({f"{KOHYA}.lora_up.weight": None})), MISMATCH, "by halves.*Missing: up"),
    "halves of two ranks": (file(kohya({f"{KOHYA}.lora_up.weight": ones(OUT, 3)})), MISMATCH, "another base"),
    "another width": (file(kohya({f"{KOHYA}.lora_down.weight": ones(4, 64)})), MISMATCH, "another base"),
    "a layer too many": (
        file(kohya(stem=KOHYA.replace("layers_0", "layers_99"))),
        MISMATCH,
        "does not have: .*layers_99",
    ),
    "Flux": (file(kohya(stem="transformer.single_transformer_blocks.3.attn.to_q")), MISMATCH, "Flux"),
    "Stable Diffusion": (file(kohya(stem="lora_unet_down_blocks_0_attentions_0_to_q")), MISMATCH, "Stable Diffusion"),
    "a text encoder": (file(kohya(stem="lora_te_text_model_encoder_layers_0_fc1")), MISMATCH, "text encoder"),
    "ACE-Step": (file(peft(stem="lyric_encoder.encoders.0.self_attn.linear_q")), MISMATCH, "ACE-Step|language model"),
    "OFT": (file({f"{PEFT}.oft_R.weight": ones(4, 4)}), MISMATCH, "OFT"),
    "IA3": (file({f"{PEFT}.ia3_l.weight": ones(4, 4)}), MISMATCH, "IA3"),
    "VeRA": (file({f"{PEFT}.vera_lambda_b": ones(4)}), MISMATCH, "VeRA"),
    "Tucker": (file(LOKR | {f"{KOHYA}.lokr_t2": ones(3, 3)}), MISMATCH, "Tucker"),
    "a LoRA on embeddings": (
        file({"base_model.model.text_embeddings.lora_embedding_A": ones(4, 4)}),
        MISMATCH,
        "embeddings",
    ),
    "the base's weights": (
        file(peft({f"{PEFT}.base_layer.weight": ones(OUT, WIDTH)}), CONFIG),
        MISMATCH,
        "own weights",
    ),
    "a LoKr of another size": (file(LOKR), MISMATCH, r"lokr|w1 \[4, 4\]"),
    "a LoHa by halves": (
        file({name: t for name, t in LOHA.items() if "w2_b" not in name}),
        MISMATCH,
        "Missing: w2_b",
    ),
    "a LoKr across heads": (file(LLAMA_LOKR), MISMATCH, "cut through the heads"),
    "magnitudes of inputs": (file(kohya({f"{KOHYA}.dora_scale": ones(1, WIDTH)})), MISMATCH, "wd_on_out"),
    "two adapters": (
        file(
            {
                f"{PEFT}.lora_{side}.{name}.weight": t
                for name in ("a", "b")
                for side, t in (("A", ones(4, 96)), ("B", ones(96, 4)))
            }
        ),
        MISMATCH,
        "2 adapters",
    ),
    "a layer twice": (file(kohya() | peft()), MISMATCH, "twice"),
    "a shard missing": (
        file(peft(), CONFIG, "adapter_model-00001-of-00003.safetensors"),
        MISSING,
        "1 of 3 files",
    ),
    "settings that are a list": (file(peft(), [1]), CORRUPT, "instead of a JSON object"),
    "settings without end": (
        lambda folder: (file(peft())(folder), (folder / "adapter_config.json").write_text("[" * 100_000))[0],
        CORRUPT,
        "not valid JSON",
    ),
    "another rank in the settings": (file(peft(), CONFIG | {"r": 9}), MISMATCH, "rank 9"),
    "other layers in the settings": (file(peft(), CONFIG | {"target_modules": ["w1"]}), MISMATCH, "belong together"),
    "half of the layers": (file(peft(), CONFIG | {"target_modules": ["0.attn.q_proj", "k_proj"]}), MISMATCH, "k_proj"),
    "no alpha in the settings": (file(peft(), CONFIG | {"lora_alpha": None}), CORRUPT, "lora_alpha is None"),
    "alpha 0 in the settings": (file(peft(), CONFIG | {"lora_alpha": 0}), CORRUPT, "lora_alpha is 0"),
    "a rank in letters": (file(peft(), CONFIG | {"r": "four"}), CORRUPT, "r is 'four'"),
    "PiSSA": (file(peft(), CONFIG | {"init_lora_weights": "pissa"}), MISMATCH, "rewriting the base"),
    "a head of another size": (
        file(peft({HEAD: ones(7, 96)}), CONFIG | {"modules_to_save": ["codebook0_head"]}),
        MISMATCH,
        "codebook0_head",
    ),
    "another method": (file(peft(), CONFIG | {"peft_type": "PREFIX_TUNING"}), MISMATCH, "PREFIX_TUNING"),
}


def take_in(folder: Path, base: BaseFolder) -> None:
    """As an import does it."""
    translate_folder(folder, base.model, describe_base(base))
    check_values(check_fit(folder, describe_base(base)))


@pytest.mark.parametrize("case", CASES)
def test_each_is_refused_in_its_own_words(case, base, tmp_path):
    make, error, says = CASES[case]
    folder = tmp_path / "style"
    folder.mkdir()
    make(folder)
    with pytest.raises(error, match=says) as caught:
        take_in(folder, base)
    assert isinstance(caught.value, CheckpointError | AlphaNeededError)
    assert caught.value.hint
    assert len(str(caught.value)) < 1000


def test_there_are_enough_of_them():
    assert len(CASES) >= 30


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    (tmp_path / "a.bin").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "into").mkdir()
    with pytest.raises(CheckpointError, match="pickle"):
        unpack(tmp_path / "a.bin", tmp_path / "into")
    assert not (tmp_path / "run").exists()
