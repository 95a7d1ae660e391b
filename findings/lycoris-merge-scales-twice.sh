#!/usr/bin/env bash
# LyCORIS 4.1.3 (torch 2.11.0): a LoHa or LoKr that is merged is not the one that was trained.
#
# Expected: the merged weight gives what the module gives in training, W + alpha/dim · ΔW.
# Found: `get_merged_weight` multiplies by alpha/dim twice, W + (alpha/dim)² · ΔW; the forward pass does so once, as
# ComfyUI and PEFT do. A LoRA is merged right.
#
# Output seen (alpha 1, dim 2; largest difference from W + alpha/dim · ΔW):
#   LoHa: forward 0.0, merged as with (alpha/dim)²
#   LoKr: forward 0.0, merged as with (alpha/dim)²
# Exits with 1 if that has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.11.0 numpy lycoris-lora==4.1.3 einops toml safetensors
"$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule

torch.manual_seed(0)
has_changed = False
for name, kind in (("LoHa", LohaModule), ("LoKr", LokrModule)):
    base = torch.nn.Linear(64, 64, bias=False)
    module = kind("x", base, 1.0, 2, 1.0)
    for parameter in module.parameters():
        parameter.data.normal_()
    delta = {k: v.detach() for k, v in module.named_parameters()}
    if name == "LoHa":
        product = (delta["hada_w1_a"] @ delta["hada_w1_b"]) * (delta["hada_w2_a"] @ delta["hada_w2_b"])
    else:
        product = torch.kron(delta["lokr_w1"], delta["lokr_w2_a"] @ delta["lokr_w2_b"])
    once, twice = base.weight + 0.5 * product, base.weight + 0.25 * product
    x = torch.eye(64)
    forward = (module(x) - x @ once.T).abs().max().item()
    merged = module.get_merged_weight(1.0, base.weight.shape)[0]
    is_twice = torch.allclose(merged, twice, atol=1e-4) and not torch.allclose(merged, once, atol=1e-4)
    print(f"{name}: forward {forward:.1f}, merged {'as with (alpha/dim)²' if is_twice else 'otherwise'}")
    has_changed |= not is_twice or forward > 1e-3
sys.exit(int(has_changed))
PYTHON
