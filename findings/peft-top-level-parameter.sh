#!/usr/bin/env bash
# PEFT 0.21.2 (torch 2.11.0): `target_parameters` cannot adapt a parameter of the model itself.
#
# Expected: a parameter can be named wherever it lies; HeartMuLa's `audio_head` lies on the model, in no module.
# Found: only one that has a module between itself and the model:
#   ValueError: Targeting an nn.Parameter on the top-level module is not supported (parameter 'head').
# The same parameter inside a module of its own is adapted.
# Exits with 1 if that has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.11.0 peft==0.21.2 numpy
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import LoraConfig, get_peft_model


class Heads(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Parameter(torch.randn(3, 8, 5))

    def forward(self, x):
        return torch.einsum("nd,kdv->nkv", x, self.head)


class Wrapped(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = Heads()

    def forward(self, x):
        return self.heads(x)


inside = get_peft_model(Wrapped(), LoraConfig(target_modules=[], target_parameters=["heads.head"]))
assert inside(torch.randn(1, 8)).shape == (1, 3, 5)
try:
    get_peft_model(Heads(), LoraConfig(target_modules=[], target_parameters=["head"]))
except ValueError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(0 if "top-level module" in str(error) else 1)
sys.exit("It is adapted now.")
PYTHON
