"""Decodes songs frame by frame: prefill of the prompts, then one frame of K codes after the other.

It holds the generation state (KV caches and last hidden states) apart from the weights, and does not know how codes
are chosen: sampling and teacher forcing take the same path. Its tensors keep their address from song to song, so that
CUDA graphs can be replayed.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.generate.decoding.cached_transformer import CachedTransformer, DecodePositions

KV_LENGTH_STEP = 512
"""On a GPU, attention reads a multiple of this many cache entries (41 s of song): one CUDA graph for each."""

# Given the codebook's index k and its logits of all rows [R, V], returns the code of each song, [N] int64.
ChooseCodes = Callable[[int, Tensor], Tensor]


class InferenceModel:
    """A HeartMuLa whose transformers are laid out for decoding. An adapter attached later is not in it."""

    def __init__(self, model: HeartMuLa):
        self.model = model
        # Stored like a linear layer's weight, which a GPU reads several times as fast; the values are the same.
        self.depth_head = model.depth_head().mT.contiguous().mT
        if isinstance(model.audio_head, Tensor):
            model.audio_head.data = self.depth_head
        self.backbone, self.decoder = CachedTransformer(model.backbone), CachedTransformer(model.decoder)

    def update_lora(self) -> None:
        """Take over the adapter's strengths; those that were 0 must still be, and the others be other than 0."""
        if not isinstance(self.model.audio_head, Tensor):
            self.depth_head.copy_(self.model.depth_head())
        self.backbone.update_lora()
        self.decoder.update_lora()

    def call_before_layers(self, callback: Callable[[], object]) -> None:
        self.backbone.before_layer = self.decoder.before_layer = callback


class FrameDecoder:
    """Frames of N songs, one at a time: `prefill`, then `choose_frame` and `append_frame` in turn.

    With classifier-free guidance, N unconditional rows run behind the N conditional ones and receive the same codes.
    """

    def __init__(self, network: InferenceModel, num_songs: int, is_guided: bool, num_positions: int):
        model, self.network = network.model, network
        self.num_songs, num_rows = num_songs, num_songs * (2 if is_guided else 1)
        weight, width = model.codebook0_head.weight, model.config.backbone_flavor.embed_dim
        num_codebooks = model.config.audio_num_codebooks
        self._cache = network.backbone.new_cache(num_rows, round_up_kv_length(num_positions))
        self._depth_cache = network.decoder.new_cache(num_rows, num_codebooks)
        self._depth_positions = self._positions_in_frame(num_rows, num_codebooks, weight.device)
        self._positions = torch.zeros(num_rows, 1, dtype=torch.int64, device=weight.device)
        self._unconditional = torch.arange(num_rows, device=weight.device) >= num_songs
        self.cfg_scale = torch.ones(num_songs, 1, device=weight.device)
        self.last_hidden = weight.new_zeros(num_rows, width)
        self.length = 0  # positions of the longest song

    @property
    def num_positions(self) -> int:
        return self._cache.length

    @property
    def kv_length(self) -> int:
        """Cache entries that the next frame's attention reads."""
        return self._kv_length_of(self.length + 1)

    def prefill(self, prompts: Sequence[Prompt], cfg_scales: Sequence[float]) -> None:
        """Run the N prompts through the backbone. A `cfg_scale` of 1 gives a song its conditional logits."""
        device = self.last_hidden.device
        lengths = torch.tensor([len(prompt.tokens) for prompt in prompts])
        self.length = int(lengths.max())
        x = self._embed(prompts)
        # Behind a shorter prompt lies padding, which no position of its song sees before a frame overwrites it.
        positions = torch.arange(self.length, device=device).expand(len(x), -1)
        hidden = self.network.backbone(x, positions, self._cache, self._kv_length_of(self.length))
        lengths = self._for_all_rows(lengths).to(device)
        self.last_hidden.copy_(hidden[torch.arange(len(x), device=device), lengths - 1])
        self._positions.copy_(lengths[:, None])
        self.cfg_scale.copy_(torch.tensor(cfg_scales)[:, None])

    def choose_frame(self, choose: ChooseCodes) -> Tensor:
        """Choose the next frame's codes [N, K], codebook by codebook, each conditioned on those before it."""
        model, num_codebooks = self.network.model, self.network.model.config.audio_num_codebooks
        codes = [choose(0, model.codebook0_head(self.last_hidden))]
        inputs = self.last_hidden[:, None]
        for k in range(1, num_codebooks):
            previous = model.embed_code(k - 1, self._for_all_rows(codes[-1]))[:, None]
            inputs = torch.cat([inputs, previous], dim=1) if k == 1 else previous
            positions = self._depth_positions[k - 1]
            depth = self.network.decoder.decode(model.projection(inputs), positions, self._depth_cache)
            codes.append(choose(k, depth[:, -1] @ self.network.depth_head[k - 1]))
        return torch.stack(codes, dim=1)

    def append_frame(self, codes: Tensor, kv_length: int | None = None) -> None:
        """Run the frame `codes` [N, K] through the backbone; `kv_length` overrides the one derived from `length`."""
        x = self._for_all_rows(self.network.model.embed_frame(codes))[:, None]
        hidden = self.network.backbone(x, self._positions, self._cache, kv_length or self.kv_length)
        self.last_hidden.copy_(hidden[:, 0])
        self._positions += 1
        self.length += 1

    def _positions_in_frame(self, num_rows: int, num_codebooks: int, device: torch.device) -> list[DecodePositions]:
        """Those of each step of the depth decoder, the first of which takes the hidden state as well."""
        index = torch.arange(num_codebooks, device=device).expand(num_rows, -1)
        steps = (index[:, :2], *index[:, 2:].split(1, dim=1))
        return [self.network.decoder.decode_positions(step, self._depth_cache, num_codebooks) for step in steps]

    def _kv_length_of(self, num_positions: int) -> int:
        return round_up_kv_length(num_positions) if self.last_hidden.is_cuda else num_positions

    def _embed(self, prompts: Sequence[Prompt]) -> Tensor:
        """[R, the longest prompt, D]"""
        device = self.last_hidden.device
        tokens = pad_sequence([prompt.tokens for prompt in prompts], batch_first=True)
        mask = pad_sequence([prompt.mask for prompt in prompts], batch_first=True)
        muq_positions = torch.tensor([prompt.muq_index for prompt in prompts])
        tokens, mask, muq_positions = (self._for_all_rows(x).to(device) for x in (tokens, mask, muq_positions))
        return self.network.model.embed(tokens, mask, muq_positions, self._unconditional)

    def _for_all_rows(self, of_songs: Tensor) -> Tensor:
        """[N, …] → [R, …]: the unconditional rows get what the conditional ones get."""
        return of_songs if self.last_hidden.shape[0] == self.num_songs else torch.cat((of_songs, of_songs))


def round_up_kv_length(num_positions: int) -> int:
    return KV_LENGTH_STEP * math.ceil(num_positions / KV_LENGTH_STEP)
