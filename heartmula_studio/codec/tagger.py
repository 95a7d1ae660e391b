"""How well words describe a recording: CLAP's likeness of sound and text, without training for these words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import ClapModel, ClapProcessor

from heartmula_studio.codec.audio_file import AudioSource, empty
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.codec.pretrained import loading_explained

EVERY_SEC = 30  # a window is listened to


class Tagger:
    """A model in memory. One thread at a time."""

    def __init__(self, folder: Path, device: torch.device):
        """Load a folder as `transformers` saves it. Raises CheckpointCorruptError where that is not possible."""
        with loading_explained(folder, "CLAP"):
            model = ClapModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
            self._processor = ClapProcessor.from_pretrained(folder, local_files_only=True)
        self._model: Any = model.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def text_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [texts, width] of descriptions."""
        inputs = self._processor.tokenizer(list(texts), padding=True, return_tensors="pt").to(self._device)
        return functional.normalize(self._model.get_text_features(**inputs).pooler_output, dim=-1).cpu()

    @torch.inference_mode()
    def audio_embedding(self, audio: Path, cancelled: Cancelled | None = None) -> Tensor:
        """The unit vector [width] of a recording: the mean of those of a window in every half minute.

        Raises a subclass of AudioError, CancelledError.
        """
        extractor = self._processor.feature_extractor
        rate_hz, total = extractor.sampling_rate, torch.zeros(())
        for block in AudioSource.find(audio).read_blocks(rate_hz, EVERY_SEC * rate_hz):
            check_cancelled(cancelled)
            window = block.mean(dim=0)[: extractor.nb_max_samples].numpy()
            inputs = extractor(window, sampling_rate=rate_hz, return_tensors="pt").to(self._device)
            total = total + self._model.get_audio_features(**inputs).pooler_output[0].cpu()
        if total.ndim == 0:
            raise empty(audio)
        return functional.normalize(total, dim=-1)

    def probabilities(self, audio: Tensor, texts: Tensor) -> Tensor:
        """How likely each of several descriptions is, as one of them is right [texts], for embeddings of this model."""
        scale = self._model.logit_scale_a.detach().exp().cpu()
        return (scale * (texts @ audio)).softmax(dim=-1)
