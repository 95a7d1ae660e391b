#!/usr/bin/env bash
# torch 2.11.0, numpy 2.4.6.
#
# Guess: a torch.autograd.Function that is given one tensor for two of its inputs gets the sum of both gradients, as
# without torch.compile.
# What happens: under Dynamo the tensor gets the gradient of the last place only; values are right, nothing is said.
#
# Output seen:
#   2 a + 5 b, given x twice: gradient 7.0 without torch.compile, 5.0 with it
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PY'
import sys

import torch


class Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return 2 * a + 5 * b

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient, 5 * gradient


def twice(x):
    return Weighted.apply(x, x)


def gradient(function):
    x = torch.tensor(3.0, requires_grad=True)
    function(x).backward()
    return x.grad.item()


plain, compiled = gradient(twice), gradient(torch.compile(twice, backend="aot_eager"))
print(f"2 a + 5 b, given x twice: gradient {plain} without torch.compile, {compiled} with it")
sys.exit((plain, compiled) != (7.0, 5.0))
PY
