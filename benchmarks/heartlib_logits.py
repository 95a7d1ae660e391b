"""Does plain heartlib play a merged export as the studio does? Needs `heartlib`, which is on GitHub and not on PyPI.

`pip install git+https://github.com/HeartMuLa/heartlib`, then `python -m benchmarks.heartlib_logits`: a small random
base and a LoRA on it, merged by the studio, loaded by heartlib's own class and code. Prints how far the logits of all
codebooks are apart, and exits with 1 above 1e-4. `--merged FOLDER` compares a real export instead.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from heartlib.heartmula import modeling_heartmula as heartlib
from torch import Tensor
from torchtune.models import llama3_2

from heartmula_studio.arch.checkpoints import load_heartmula, save_model
from heartmula_studio.arch.heartmula import HeartMuLa, HeartMuLaConfig
from heartmula_studio.arch.llama import LlamaFlavor
from heartmula_studio.generate.adapter_formats.layers import Layer
from heartmula_studio.generate.adapter_formats.merging import write_merged

TOLERANCE = 1e-4
FLAVORS = {"llama-3B": LlamaFlavor(3, 6, 2, 96, 160, 256), "llama-300M": LlamaFlavor(2, 4, 2, 64, 96, 64)}
"""Small networks under the official names, for heartlib knows no sizes but these names."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--merged", type=Path, metavar="FOLDER", help="what `checkpoints export --format merged` wrote")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours, folder = (
            (load_heartmula(arguments.merged), arguments.merged) if arguments.merged else small(Path(scratch))
        )
        theirs = heartlib.HeartMuLa.from_pretrained(folder, dtype=torch.float32).eval()
    build_rope(theirs)
    missing = [name for name, tensor in theirs.state_dict().items() if not tensor.isfinite().all()]
    apart = max((a - b).abs().max().item() for a, b in zip(our_logits(ours), their_logits(theirs), strict=True))
    print(f"largest difference of logits: {apart:.2g}" + (f"; not loaded: {missing[:3]}" if missing else ""))
    return int(not apart < TOLERANCE)


def build_rope(model: torch.nn.Module) -> None:
    """With transformers 5, which builds networks on the meta device, torchtune's rotary tables have to be made after.

    heartlib pins transformers 4.57, where they are there already.
    """
    for module in model.modules():
        if hasattr(module, "rope_init") and not module.is_cache_built:
            module.rope_init()


def small(scratch: Path) -> tuple[HeartMuLa, Path]:
    """A random base with a LoRA in it, as the studio has it in memory, and merged on disk as heartlib reads it."""
    config = HeartMuLaConfig(FLAVORS["llama-3B"], FLAVORS["llama-300M"], 420, 134, 8, 32)
    for name, flavor in FLAVORS.items():
        heartlib.FLAVORS[name] = lambda flavor=flavor: torchtune_llama(flavor)
    torch.manual_seed(0)
    base = HeartMuLa(config)
    base.initialise(0.1)
    save_model(base, config.to_dict(), scratch / "base")
    layers = {
        name: Layer("lora", {"down": torch.randn(4, m.in_features), "up": 0.1 * torch.randn(m.out_features, 4)}, 2.0)
        for name, m in base.named_modules()
        if isinstance(m, torch.nn.Linear) and "layers" in name
    }
    merged = scratch / "merged"
    merged.mkdir()
    write_merged(scratch / "base", layers, {}, merged, "the LoRA")
    ours = load_heartmula(merged)
    values: dict[str, Any] = json.loads((merged / "config.json").read_text())
    values |= {"backbone_flavor": "llama-3B", "decoder_flavor": "llama-300M"}
    (merged / "config.json").write_text(json.dumps(values))
    return ours, merged


def torchtune_llama(flavor: LlamaFlavor) -> torch.nn.Module:
    return llama3_2.llama3_2(
        vocab_size=8, num_layers=flavor.num_layers, num_heads=flavor.num_heads, num_kv_heads=flavor.num_kv_heads,
        embed_dim=flavor.embed_dim, max_seq_len=flavor.max_seq_len, intermediate_dim=flavor.intermediate_dim,
        norm_eps=flavor.norm_eps, rope_base=int(flavor.rope_base), scale_factor=int(flavor.rope_scale_factor),
    )  # fmt: skip


def question(config: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens [1, S, K+1] and mask of a prompt and six frames, and the frames that follow [6, K]."""
    generator, codebooks = torch.Generator().manual_seed(1), config.audio_num_codebooks
    tokens = torch.randint(0, 100, (1, 11, codebooks + 1), generator=generator)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    mask[:, :5, -1] = mask[:, 5:, :-1] = True
    return tokens, mask, torch.randint(0, 100, (6, codebooks), generator=generator)


@torch.inference_mode()
def our_logits(model: HeartMuLa) -> tuple[Tensor, Tensor]:
    tokens, mask, targets = question(model.config)
    predict = torch.zeros(1, 11, dtype=torch.bool)
    predict[:, 5:] = True
    first, deep = model(tokens, mask, torch.tensor([-1]), torch.tensor([False]), predict, targets)
    return first[:, 0], deep


@torch.inference_mode()
def their_logits(model: Any) -> tuple[Tensor, Tensor]:
    """The same with heartlib's modules, as its `generate_frame` calls them, over whole sequences."""
    tokens, mask, targets = question(model.config)
    hidden = model.backbone((model._embed_tokens(tokens, None) * mask[..., None]).sum(dim=2))[0, 5:]
    previous = [model._embed_audio(k, targets[:, k]) for k in range(model.config.audio_num_codebooks - 1)]
    deep = model.decoder(model.projection(torch.stack([hidden, *previous], dim=1)))[:, 1:]
    return model.codebook0_head(hidden), torch.einsum("nkd,kdv->nkv", deep, model.audio_head)


if __name__ == "__main__":
    sys.exit(main())
