"""What torch calls the data types that a training's settings name."""

import torch

from heartmula_studio.finetune.config import BaseDtype, Dtype

DTYPES: dict[Dtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BASE_DTYPES: dict[BaseDtype, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "nf4": torch.bfloat16,  # of what stays as it is beside linear layers in four bits
}
