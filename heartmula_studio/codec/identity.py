"""Which codec tokens belong to: two codecs share a name exactly if their tokens mean the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import CODEC_REPO, DECODER_PREFIX, weight_files
from heartmula_studio.arch.safetensors_reader import TensorFile

QUANTISER = "flow_matching.vq_embed."


def codebook_id(quantiser: nn.Module) -> str:
    """A digest of the quantiser's weights."""
    return digest_of(quantiser.state_dict())


def stored_codebook_id(codec_folder: Path) -> str:
    """The same for a codec on disk, of which only the quantiser is read. Raises as `load_heartcodec`."""
    tensors: dict[str, Tensor] = {}
    for path in weight_files(codec_folder, CODEC_REPO):
        with TensorFile(path) as file:
            for name in file.shapes:
                short = name.removeprefix(DECODER_PREFIX)
                if short.startswith(QUANTISER):
                    tensors[short.removeprefix(QUANTISER)] = file.read(name, "cpu", torch.float32)
    return digest_of(tensors)


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"heartcodec-{digest.hexdigest()[:12]}"
