#!/usr/bin/env bash
# PEFT 0.21.2 (torch 2.11.0): `modules_to_save` takes every module whose name ends in these letters.
#
# Expected: `modules_to_save=["norm"]` saves the module `norm`, as `target_modules=["norm"]` would only stand for names
# whose last part is "norm".
# Found: `sa_norm` and `mlp_norm` are trained and saved as well.
# Exits with 1 if that has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.11.0 peft==0.21.2 numpy
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.sa_norm, self.mlp_norm = (torch.nn.Linear(4, 4), torch.nn.LayerNorm(4), torch.nn.LayerNorm(4))
        self.norm = torch.nn.LayerNorm(4)


network = get_peft_model(Layer(), LoraConfig(r=2, target_modules=["q"], modules_to_save=["norm"]))
saved = {name.split(".")[-2] for name in get_peft_model_state_dict(network) if "norm" in name}
print(sorted(saved))
sys.exit(0 if saved == {"norm", "sa_norm", "mlp_norm"} else 1)
PYTHON
