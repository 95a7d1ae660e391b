"""The state of songs in the making: caches and the last hidden states, apart from the weights.

A rollout does not know how codes are chosen: sampling and teacher forcing take the same path through it. Its tensors
keep their place from song to song, so that a GPU can replay a recorded frame.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.llama_step import TransformerStep
from heartmula_studio.dataset.prompt import Prompt

SPAN = 512  # a recorded frame looks at so many places of the cache or a multiple: 41 s of song

# Given the codebook's index k and its logits of all rows [R, V], returns the code of each song, [N] int64.
ChooseCodes = Callable[[int, Tensor], Tensor]


class FrameNetwork:
    """A HeartMuLa whose transformers are laid out for making songs. An adapter put on later is not in it."""

    def __init__(self, model: HeartMuLa):
        self.model = model
        # Laid out like a linear layer's weight, which a GPU reads several times as fast; the values are the same.
        model.audio_head.data = model.audio_head.data.mT.contiguous().mT
        self.backbone, self.decoder = TransformerStep(model.backbone), TransformerStep(model.decoder)

    def refresh(self) -> None:
        """Take over a changed strength of the adapter, which is not 0 and was not."""
        self.backbone.refresh()
        self.decoder.refresh()

    def ask_before_layers(self, ask: Callable[[], None]) -> None:
        self.backbone.before_layer = self.decoder.before_layer = ask


class Rollout:
    """Frames of N songs, one at a time: `start`, then `choose_frame` and `advance` with the frames chosen.

    With guidance, N unconditional rows run along behind the N conditional ones, and hear the same codes.
    """

    def __init__(self, network: FrameNetwork, num_songs: int, is_guided: bool, num_positions: int):
        model, self.network = network.model, network
        self.num_songs, num_rows = num_songs, num_songs * (2 if is_guided else 1)
        weight, width = model.codebook0_head.weight, model.config.backbone_flavor.embed_dim
        num_codebooks = model.config.audio_num_codebooks
        self._cache = network.backbone.new_cache(num_rows, rounded_up(num_positions))
        self._depth_cache = network.decoder.new_cache(num_rows, num_codebooks)
        self._depth_positions = torch.arange(num_codebooks, device=weight.device).expand(num_rows, -1)
        self._positions = torch.zeros(num_rows, 1, dtype=torch.int64, device=weight.device)
        self._unconditional = torch.arange(num_rows, device=weight.device) >= num_songs
        self.cfg_scale = torch.ones(num_songs, 1, device=weight.device)
        # A frame's position holds codes in the first K columns and no text in the last.
        self._frame_mask = torch.ones(num_rows, 1, num_codebooks + 1, dtype=torch.bool, device=weight.device)
        self._frame_mask[..., -1] = False
        self.hidden = weight.new_zeros(num_rows, width)  # what the next frame is predicted from
        self.length = 0  # positions of the longest song

    @property
    def num_positions(self) -> int:
        return self._cache.length

    @property
    def span(self) -> int:
        """How many places of the cache the next frame looks at."""
        return self._span_of(self.length + 1)

    def start(self, prompts: Sequence[Prompt], cfg_scales: Sequence[float]) -> None:
        """Hear the N prompts. Guidance of 1 gives a song its conditional logits."""
        device = self.hidden.device
        lengths = torch.tensor([len(prompt.tokens) for prompt in prompts])
        self.length = int(lengths.max())
        x = self._embed(prompts)
        # Behind a shorter prompt lies padding, which no position of its song sees before a frame takes its place.
        positions = torch.arange(self.length, device=device).expand(len(x), -1)
        hidden = self.network.backbone(x, positions, self._cache, self._span_of(self.length))
        lengths = self._for_all_rows(lengths).to(device)
        self.hidden.copy_(hidden[torch.arange(len(x), device=device), lengths - 1])
        self._positions.copy_(lengths[:, None])
        self.cfg_scale.copy_(torch.tensor(cfg_scales)[:, None])

    def choose_frame(self, choose: ChooseCodes) -> Tensor:
        """Choose the next frame's codes [N, K], codebook by codebook, each seeing those before it."""
        model, num_codebooks = self.network.model, self.network.model.config.audio_num_codebooks
        codes = [choose(0, model.codebook0_head(self.hidden))]
        inputs, start = self.hidden[:, None], 0
        for k in range(1, num_codebooks):
            previous = model.embed_code(k - 1, self._for_all_rows(codes[-1]))[:, None]
            inputs = torch.cat([inputs, previous], dim=1) if k == 1 else previous
            positions = self._depth_positions[:, start : k + 1]
            depth = self.network.decoder(model.projection(inputs), positions, self._depth_cache, num_codebooks)
            codes.append(choose(k, depth[:, -1] @ model.audio_head[k - 1]))
            start = k + 1
        return torch.stack(codes, dim=1)

    def advance(self, codes: Tensor, span: int | None = None) -> None:
        """Let every song hear its frame of `codes` [N, K]; `span` where it is not to be taken from `length`."""
        tokens = pad(self._for_all_rows(codes), (0, 1))[:, None]
        x = self.network.model.embed(tokens, self._frame_mask, None, self._unconditional)
        self.hidden.copy_(self.network.backbone(x, self._positions, self._cache, span or self.span)[:, 0])
        self._positions += 1
        self.length += 1

    def _span_of(self, num_positions: int) -> int:
        """On a GPU one of few numbers, for each of which a frame is recorded."""
        return rounded_up(num_positions) if self.hidden.is_cuda else num_positions

    def _embed(self, prompts: Sequence[Prompt]) -> Tensor:
        """[R, the longest prompt, D]"""
        device = self.hidden.device
        tokens = pad_sequence([prompt.tokens for prompt in prompts], batch_first=True)
        mask = pad_sequence([prompt.mask for prompt in prompts], batch_first=True)
        muq_positions = torch.tensor([prompt.muq_index for prompt in prompts])
        inputs = [self._for_all_rows(values).to(device) for values in (tokens, mask, muq_positions)]
        return self.network.model.embed(*inputs, self._unconditional)

    def _for_all_rows(self, of_songs: Tensor) -> Tensor:
        """[N, …] → [R, …]: the unconditional rows take what the conditional ones take."""
        return of_songs if len(self.hidden) == self.num_songs else torch.cat((of_songs, of_songs))


def rounded_up(positions: int) -> int:
    return SPAN * math.ceil(positions / SPAN)
