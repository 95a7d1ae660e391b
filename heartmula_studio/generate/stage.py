"""Where songs are made frame by frame: their sampling settings, their chance, and on a GPU the recorded frames.

A frame of the 3B is over a thousand small kernels, which take longer to launch than to run. So a frame is recorded once
for each span of attention and then replayed (a CUDA graph): nothing in it waits for the processor.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from heartmula_studio.arch import kernels
from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.rollout import FrameNetwork, Rollout, rounded_up
from heartmula_studio.generate.sampling import AudioIds, allowed_ids, draws, guide, sample

# One second: a model tuned on a handful of songs may want to end before it has begun.
MIN_SONG_FRAMES = math.ceil(1.0 * FRAME_RATE_HZ)
LONGER = 1.25  # room for a song that is a little longer than this one, so that it finds the frames recorded


class Stage:
    """Room for N songs of so many positions and frames, used again for songs that fit."""

    def __init__(self, network: FrameNetwork, ids: AudioIds, requests: Sequence[SongRequest], num_positions: int):
        config, device = network.model.config, network.model.codebook0_head.weight.device
        num_songs = len(requests)
        num_positions = rounded_up(min(int(LONGER * num_positions), config.backbone_flavor.max_seq_len))
        self.num_songs, self._shape = num_songs, shape_of(requests)
        self._rollout = Rollout(network, num_songs, is_guided(requests), num_positions)
        self._uniform = torch.zeros(num_songs, num_positions, config.audio_num_codebooks, device=device)
        self._temperature = torch.ones(num_songs, 1, device=device)
        self._allowed = allowed_ids(config.audio_vocab_size, ids, device)
        self._index = torch.zeros(1, dtype=torch.int64, device=device)
        self._codes = torch.zeros(num_songs, config.audio_num_codebooks, dtype=torch.int64, device=device)
        self._has_kernels = kernels.are_usable(device)
        self.is_recorded = device.type == "cuda"
        self._recordings: dict[int, torch.cuda.CUDAGraph | None] = {}

    def fits(self, requests: Sequence[SongRequest], num_positions: int) -> bool:
        return shape_of(requests) == self._shape and num_positions <= self._rollout.num_positions

    def start(self, prompts: Sequence[Prompt], requests: Sequence[SongRequest], num_frames: int) -> None:
        """Begin N songs of at most `num_frames`."""
        chance = [draws(request.seed, num_frames, self._uniform.shape[-1]) for request in requests]
        self._uniform[:, :num_frames] = torch.stack(chance).to(self._uniform.device)
        self._temperature.copy_(torch.tensor([request.temperature for request in requests])[:, None])
        self._index.zero_()
        self._rollout.start(prompts, [request.cfg_scale for request in requests])

    def next_frame(self) -> Tensor:
        """Make the next frame of every song; return its codes [N, K] on the CPU, once they are there."""
        if self.is_recorded:
            with torch.cuda.device(self._codes.device):
                self._replay(self._rollout.span)
        else:
            self._make_frame(self._rollout.span)
        return self._codes.to("cpu", copy=True)

    def _replay(self, span: int) -> None:
        """The first frame of a span runs as it is, which readies the libraries; the second is recorded."""
        if span not in self._recordings:
            self._recordings[span] = None
            self._make_frame(span)
            return
        if self._recordings[span] is None:
            self._recordings[span] = self._record(span)
        self._recordings[span].replay()
        self._rollout.length += 1

    def _record(self, span: int) -> torch.cuda.CUDAGraph:
        length, graph = self._rollout.length, torch.cuda.CUDAGraph()
        recorded = next(filter(None, self._recordings.values()), None)
        torch.cuda.synchronize()
        # Other threads of a server may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=recorded and recorded.pool(), capture_error_mode="thread_local"):
            self._make_frame(span)
        self._rollout.length = length
        return graph

    def _make_frame(self, span: int) -> None:
        uniform = self._uniform.index_select(1, self._index)[:, 0]
        allowed = self._allowed[(self._index >= MIN_SONG_FRAMES).long()]

        def choose(k: int, logits: Tensor) -> Tensor:
            scale, settings = self._rollout.cfg_scale, (allowed, uniform[:, k], self._temperature, self._shape[-1])
            if self._has_kernels:
                return kernels.draw(logits, scale, *settings)
            return sample(guide(logits.float(), scale), *settings)

        self._codes.copy_(self._rollout.choose_frame(choose))
        self._rollout.advance(self._codes, span)
        self._index += 1


def shape_of(requests: Sequence[SongRequest]) -> tuple[int, bool, int]:
    """What is fixed in a recorded frame: how many songs, whether they are guided, and the top k."""
    return len(requests), is_guided(requests), requests[0].topk


def is_guided(requests: Sequence[SongRequest]) -> bool:
    return any(request.cfg_scale > 1 for request in requests)
