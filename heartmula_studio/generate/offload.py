"""Swaps language model and codec between GPU and CPU where the GPU cannot hold both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from heartmula_studio.arch.checkpoints import decoder_tensors
from heartmula_studio.arch.device import total_bytes
from heartmula_studio.arch.stored_weights import num_parameters
from heartmula_studio.device_name import is_gpu

ROOM_BYTES = 2 << 30  # for a song's cache, the activations of a window, and the driver


class ModelOffloader:
    """Offloads to the CPU whichever of language model and codec is not in use.

    `before_swap` is called to let go of whatever refers to the model's weights on the GPU.
    """

    def __init__(self, model: nn.Module, codec: nn.Module, offloads: bool, before_swap: Callable[[], None]):
        self._model, self._codec, self.offloads, self._before_swap = model, codec, offloads, before_swap
        self._device = next(model.parameters()).device

    @contextmanager
    def codec_on_device(self) -> Iterator[None]:
        """Have the codec on the device; afterwards the language model is there again."""
        if not self.offloads:
            yield
            return
        self._before_swap()
        self._swap(self._codec, self._model)
        try:
            yield
        finally:
            self._swap(self._model, self._codec)

    def _swap(self, comes: nn.Module, goes: nn.Module) -> None:
        goes.to("cpu")
        if is_gpu(str(self._device)):
            torch.accelerator.empty_cache()
        comes.to(self._device)


def needs_offloading(model: nn.Module, codec_folder: Path, device: torch.device) -> bool:
    """Tell whether this process's share of the GPU is too small for a loaded model and a codec at once."""
    if not is_gpu(str(device)):
        return False
    model_bytes = sum(parameter.nbytes for parameter in model.parameters())
    codec_bytes = num_parameters(decoder_tensors(codec_folder)) * torch.float32.itemsize
    share = torch.cuda.get_per_process_memory_fraction(device) if device.type == "cuda" else 1.0
    return model_bytes + codec_bytes + ROOM_BYTES > share * total_bytes(str(device))
