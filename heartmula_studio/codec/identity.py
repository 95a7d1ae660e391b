"""Which codec tokens belong to: two codecs share a name exactly if their tokens mean the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import decoder_tensors
from heartmula_studio.arch.stored_weights import read_tensors

QUANTISER = "vq_embed."
"""How the names of its tensors begin, which in the official codec follows on `flow_matching.`."""

FLAG = "initted"
"""Says whether a codebook is in use. Files hold it as a number or a truth value, and as a scalar or a list of one."""


def codebook_id(quantiser: nn.Module) -> str:
    """A digest of the quantiser's weights."""
    return digest_of(quantiser.state_dict())


def stored_codebook_id(codec_folder: Path) -> str:
    """The same for a codec on disk, of which only the quantiser is read. Raises as `load_codec_network`."""
    named = {name.removeprefix("flow_matching."): place for name, place in decoder_tensors(codec_folder).items()}
    stored = {name: place for name, place in named.items() if name.startswith(QUANTISER)}
    return digest_of(
        {name.removeprefix(QUANTISER): tensor for name, tensor in read_tensors(stored, "cpu", torch.float32)}
    )


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        value = tensor.bool() if name.endswith(FLAG) else tensor
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return f"heartcodec-{digest.hexdigest()[:12]}"
