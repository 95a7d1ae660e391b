"""Who is on the device. A GPU that cannot hold the language model and the codec at once holds one after the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from heartmula_studio.arch.checkpoints import decoder_tensors
from heartmula_studio.arch.stored_weights import num_parameters

ROOM_BYTES = 2 << 30  # for a song's cache, the activations of a window, and the driver


class Residence:
    """The language model's and the codec's place; `forget` lets go of whatever is made of the model's weights."""

    def __init__(self, model: nn.Module, codec: nn.Module, takes_turns: bool, forget: Callable[[], None]):
        self._model, self._codec, self._takes_turns, self._forget = model, codec, takes_turns, forget
        self._device = next(model.parameters()).device

    @contextmanager
    def of_codec(self) -> Iterator[None]:
        """Have the codec on the device; afterwards the language model is there again."""
        if not self._takes_turns:
            yield
            return
        self._forget()
        self._swap(self._codec, self._model)
        try:
            yield
        finally:
            self._swap(self._model, self._codec)

    def _swap(self, comes: nn.Module, goes: nn.Module) -> None:
        goes.to("cpu")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        comes.to(self._device)


def must_take_turns(model: nn.Module, codec_folder: Path, device: torch.device) -> bool:
    """Whether what this process may take of a GPU is too little for a model that is on it and a codec, at once."""
    if device.type != "cuda":
        return False
    model_bytes = sum(parameter.nbytes for parameter in model.parameters())
    codec_bytes = num_parameters(decoder_tensors(codec_folder)) * torch.float32.itemsize
    share = torch.cuda.get_per_process_memory_fraction(device)
    return model_bytes + codec_bytes + ROOM_BYTES > share * torch.cuda.get_device_properties(device).total_memory
