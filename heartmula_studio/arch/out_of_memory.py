"""How a lack of memory shows itself."""

import torch

# PyTorch has no exception class of its own for the computer's memory, be it plain or what a GPU can read.
HOST_MEMORY_ERRORS = ("DefaultCPUAllocator", "CUDA error: out of memory")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on a device or on the computer."""
    is_host = any(words in str(error) for words in HOST_MEMORY_ERRORS)
    return is_host or isinstance(error, (torch.OutOfMemoryError, MemoryError))
