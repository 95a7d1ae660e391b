#!/usr/bin/env bash
# PEFT 0.21.2 (torch 2.11.0): a linear mix of two adapters with unequal ranks is saved but cannot be loaded.
#
# Expected: `add_weighted_adapter(…, combination_type="linear")` takes both adapters (each rank 4, but rank 2 on one
# layer through `rank_pattern`), the mix computes, and what `save_pretrained` writes loads again.
# Found: the mix keeps tensors of rank 2 on that layer, while its config is saved with `"rank_pattern": {}` and r 4:
#   size mismatch for base_model.model.q.lora_A.default.weight: copying a param with shape torch.Size([2, 8]) from
#   checkpoint, the shape in current model is torch.Size([4, 8]).
# Exits with 1 if that has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.11.0 peft==0.21.2 numpy
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - "$work" <<'PYTHON'
import json
import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

warnings.simplefilter("ignore")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k = (torch.nn.Linear(8, 8, bias=False) for _ in range(2))

    def forward(self, x):
        return self.k(self.q(x))


def config():
    return LoraConfig(r=4, target_modules=["q", "k"], rank_pattern={"q": 2})


model = get_peft_model(Net(), config(), adapter_name="a")
model.add_adapter("b", config())
model.add_weighted_adapter(["a", "b"], [0.5, 0.5], "mix", combination_type="linear")
model.set_adapter("mix")
assert model(torch.randn(1, 8)).shape == (1, 8)
folder = Path(sys.argv[1])
model.save_pretrained(folder, selected_adapters=["mix"])
saved = json.loads((folder / "mix" / "adapter_config.json").read_text())
print({name: saved[name] for name in ("r", "rank_pattern")})
try:
    PeftModel.from_pretrained(Net(), folder / "mix")
except RuntimeError as error:
    print(error)
    sys.exit(0 if "size mismatch for base_model.model.q.lora_A" in str(error) else 1)
sys.exit("It loads now.")
PYTHON
