"""Memory of making songs: an estimate beforehand, and an error that says what to do where it did not suffice."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from heartmula_studio.arch.checkpoints import BaseFolder, decoder_tensors, read_heartmula_config
from heartmula_studio.arch.device import precision_of
from heartmula_studio.arch.out_of_memory import is_out_of_memory
from heartmula_studio.arch.stored_weights import num_parameters
from heartmula_studio.errors import OutOfMemoryError
from heartmula_studio.finetune.costs.activations import FLOAT_BYTES
from heartmula_studio.finetune.costs.memory import PROGRAM_BYTES, tensor_shapes

CFG_ROWS = 2  # the conditional and the unconditional row of a song


def generation_bytes(base: BaseFolder, device: str, is_loaded: bool = False) -> int:
    """Estimate what making a song takes beyond what an engine that `is_loaded` holds already.

    Raises CheckpointError for files of the base that cannot be read.
    """
    network = read_heartmula_config(base.model)
    weights = sum(map(math.prod, tensor_shapes(base.model).values()))
    width = precision_of(torch.device(device)).songs.itemsize
    codec = num_parameters(decoder_tensors(base.codec)) * FLOAT_BYTES  # float32, however it is stored
    flavor = network.backbone_flavor
    kv_cache = CFG_ROWS * 2 * flavor.num_layers * flavor.max_seq_len * flavor.num_kv_heads * flavor.head_dim * width
    return kv_cache + codec // 2 + (0 if is_loaded else PROGRAM_BYTES + weights * width + codec)


@contextmanager
def memory_explained() -> Iterator[None]:
    """Raise OutOfMemoryError in place of what PyTorch and Python raise when an allocation fails."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "There is too little memory for this base model and song.",
            "Ask for a shorter song, stop other programs and trainings on the same device, or use a smaller base.",
        ) from error
