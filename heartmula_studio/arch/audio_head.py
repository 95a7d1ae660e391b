"""HeartMuLa's bare parameter `audio_head` inside a module, as PEFT needs it to adapt it.

PEFT 0.21 adapts parameters (`target_parameters`) only of modules that have a parent.
"""

from torch import Tensor, nn


class AudioHead(nn.Module):
    """The heads of codebooks 1 to K-1 in place of the parameter."""

    is_transposed = True  # PEFT's word for matrices that lie as [in, out]

    def __init__(self, weight: nn.Parameter):
        super().__init__()
        self.weight = weight

    def forward(self, _: None) -> Tensor:
        """Return the weights, [K-1, decoder width, V]; PEFT changes them while this is called."""
        return self.weight
