#!/usr/bin/env bash
# vector-quantize-pytorch 1.22.15 and 1.27.15, torch 2.11.0.
#
# Guess: a quantiser of the same sizes, saved by one version of the library, loads strictly in another, or in neither.
# What happens: it loads in one direction only. Between the two versions the buffer `initted` of each codebook went from
# float32 [1] to bool []. torch takes a list of one number for a scalar, silently (a rule for files of torch 0.3), but no
# scalar for a list of one. With assign=True the flag also keeps the type of the file, so the loaded module is no longer
# equal to a new one: anything that hashes its state_dict gives another value.
#
# Output seen:
#   1.22.15 keeps initted as torch.float32 [1], 1.27.15 as torch.bool []
#   old file into new library: loaded
#   old file into new library, assign=True: loaded, initted is torch.float32 []
#   new file into old library: size mismatch for layers.0._codebook.initted
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip install -q --target "$folder/shared" torch==2.11.0 numpy==2.3.5 einops==0.8.1 einx==0.3.0
pip install -q --no-deps --target "$folder/old" vector-quantize-pytorch==1.22.15
pip install -q --no-deps --target "$folder/new" vector-quantize-pytorch==1.27.15

cat >"$folder/quantiser.py" <<'PY'
import sys

import torch
from vector_quantize_pytorch import ResidualVQ

action, path = sys.argv[1:]
torch.manual_seed(0)
quantiser = ResidualVQ(dim=8, codebook_size=4, num_quantizers=1)
if action == "save":
    torch.save(quantiser.state_dict(), path)
    flag = quantiser.state_dict()["layers.0._codebook.initted"]
    print(flag.dtype, list(flag.shape))
else:
    try:
        quantiser.load_state_dict(torch.load(path, weights_only=True), assign=action == "assign")
        flag = quantiser.state_dict()["layers.0._codebook.initted"]
        print("loaded", flag.dtype, list(flag.shape))
    except RuntimeError as error:
        print("size mismatch" if "size mismatch for layers.0._codebook.initted" in str(error) else error)
PY
run() { PYTHONPATH="$folder/shared:$folder/$1" python3 "$folder/quantiser.py" "$2" "$folder/$3.pt" | tee -a "$folder/seen"; }

run old save old
run new save new
run new load old
run new assign old
run old load new
diff "$folder/seen" - <<'SEEN'
torch.float32 [1]
torch.bool []
loaded torch.bool []
loaded torch.float32 []
size mismatch
SEEN
