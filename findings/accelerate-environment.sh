#!/usr/bin/env bash
# Accelerate 1.15.0 (torch 2.11.0, numpy 2.4.6).
#
# Guess: a value that code gives to `Accelerator` and the environment gives otherwise is settled one way for all: the
# code wins, as it does for `mixed_precision`.
# What happens: `ACCELERATE_GRADIENT_ACCUMULATION_STEPS` beats `gradient_accumulation_steps` of the code, and
# `backward` divides the loss by it: a variable left over from another run makes gradients smaller, without a word.
#
# Output seen:
#   code says 2 and bf16, environment 8 and fp16: 8 and bf16; the gradient of 16 w is 2.0
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 accelerate==1.15.0 numpy==2.4.6

export ACCELERATE_USE_CPU=true ACCELERATE_GRADIENT_ACCUMULATION_STEPS=8 ACCELERATE_MIXED_PRECISION=fp16
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PY'
import sys

import torch
from accelerate import Accelerator

accelerator = Accelerator(gradient_accumulation_steps=2, mixed_precision="bf16")
weight = torch.ones(1, requires_grad=True)
accelerator.backward((16 * weight).sum())
steps, precision, gradient = accelerator.gradient_accumulation_steps, accelerator.mixed_precision, weight.grad.item()
print(f"code says 2 and bf16, environment 8 and fp16: {steps} and {precision}; the gradient of 16 w is {gradient}")
sys.exit((steps, precision, gradient) != (8, "bf16", 2.0))
PY
