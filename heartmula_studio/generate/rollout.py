"""The state of one song in the making: caches and the last hidden state, apart from the weights.

A rollout does not know how codes are chosen: sampling and teacher forcing take the same path through it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.generate.sampling import guide

# Given the codebook's index k and its guided logits [V], returns its code as an int64 scalar tensor.
ChooseCode = Callable[[int, Tensor], Tensor]


class Rollout:
    """Frames of one song, one at a time: `choose_frame`, then `advance` with the frame chosen.

    With `cfg_scale` above 1 a second, unconditional row runs along, and both rows hear the same codes.
    """

    def __init__(self, model: HeartMuLa, prompt: Prompt, max_frames: int, cfg_scale: float):
        self.model = model
        self.cfg_scale = cfg_scale
        num_rows = 2 if cfg_scale > 1 else 1
        device = next(model.parameters()).device
        self._unconditional = torch.arange(num_rows, device=device) == 1
        # A frame's position holds codes in the first K columns and no text in the last.
        self._frame_mask = torch.ones(num_rows, 1, prompt.tokens.shape[-1], dtype=torch.bool, device=device)
        self._frame_mask[..., -1] = False
        self._frame_tokens = torch.zeros(self._frame_mask.shape, dtype=torch.int64, device=device)
        self._cache = model.backbone.new_cache(num_rows, prompt.tokens.shape[0] + max_frames)
        self._depth_cache = model.decoder.new_cache(num_rows, model.config.audio_num_codebooks)
        self.hidden = self._prefill(prompt, num_rows, device)  # [R, D], what the next frame is predicted from

    def choose_frame(self, choose: ChooseCode) -> Tensor:
        """Choose the next frame's codes [K], codebook by codebook, each seeing those before it."""
        model, num_rows = self.model, self.hidden.shape[0]
        self._depth_cache.reset()
        codes = [choose(0, self._guide(model.codebook0_head(self.hidden)))]
        inputs = self.hidden[:, None]
        for k in range(1, model.config.audio_num_codebooks):
            previous = model.embed_code(k - 1, codes[-1].expand(num_rows))[:, None]
            inputs = torch.cat([inputs, previous], dim=1) if k == 1 else previous
            depth = model.decoder(model.projection(inputs), self._depth_cache)[:, -1]
            codes.append(choose(k, self._guide(depth @ model.audio_head[k - 1])))
        return torch.stack(codes)

    def advance(self, codes: Tensor) -> None:
        """Let every row hear the frame `codes` [K]."""
        self._frame_tokens[..., :-1] = codes
        x = self.model.embed(self._frame_tokens, self._frame_mask, None, self._unconditional)
        self.hidden = self.model.backbone(x, self._cache)[:, -1]

    def _prefill(self, prompt: Prompt, num_rows: int, device: torch.device) -> Tensor:
        tokens = prompt.tokens.to(device).expand(num_rows, -1, -1)
        mask = prompt.mask.to(device).expand(num_rows, -1, -1)
        muq_positions = torch.full((num_rows,), prompt.muq_index, device=device)
        x = self.model.embed(tokens, mask, muq_positions, self._unconditional)
        return self.model.backbone(x, self._cache)[:, -1]

    def _guide(self, logits: Tensor) -> Tensor:
        return guide(logits.float(), self.cfg_scale)
