"""Sampled frames of songs, replayed from CUDA graphs on a GPU.

A frame of the 3B is over a thousand small kernels, which take longer to launch than to run. So a frame is captured as a
CUDA graph once for each length of attention and then replayed: nothing in it waits for the CPU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from heartmula_studio.arch.device import is_nvidia
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.arch.triton_support import is_triton_available
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.generate.decoding import triton_kernels
from heartmula_studio.generate.decoding.frame_decoder import FrameDecoder, InferenceModel, round_up_kv_length
from heartmula_studio.generate.decoding.sampling import (
    AudioVocabulary,
    apply_cfg,
    sample_top_k,
    sampling_noise,
    valid_token_mask,
)
from heartmula_studio.generate.request import SongRequest

RESERVE = 1.25
"""Room for a song that is a little longer than this one, so that its frames are captured already."""


class GraphedDecoder:
    """A `FrameDecoder` with sampling, for N songs of so many positions and frames; reused for songs that fit."""

    def __init__(
        self,
        network: InferenceModel,
        vocabulary: AudioVocabulary,
        requests: Sequence[SongRequest],
        num_positions: int,
    ):
        config, device = network.model.config, network.model.codebook0_head.weight.device
        num_songs = len(requests)
        num_positions = round_up_kv_length(min(int(RESERVE * num_positions), config.backbone_flavor.max_seq_len))
        self.num_songs, self._graph_key = num_songs, graph_key(requests)
        self._decoder = FrameDecoder(network, num_songs, is_guided(requests), num_positions)
        self._noise = torch.zeros(num_songs, num_positions, config.audio_num_codebooks, device=device)
        self._temperature = torch.ones(num_songs, 1, device=device)
        self._min_frames = torch.zeros(num_songs, dtype=torch.int64, device=device)
        self._valid_tokens = valid_token_mask(config.audio_vocab_size, vocabulary, device)
        self._frame_index = torch.zeros(1, dtype=torch.int64, device=device)
        self._codes = torch.zeros(num_songs, config.audio_num_codebooks, dtype=torch.int64, device=device)
        self._is_finite = torch.ones((), dtype=torch.bool, device=device)
        self._has_kernels = is_triton_available(device)
        self.uses_cuda_graphs = is_nvidia(device)
        self._graphs: dict[int, torch.cuda.CUDAGraph | None] = {}

    def fits(self, requests: Sequence[SongRequest], num_positions: int) -> bool:
        return graph_key(requests) == self._graph_key and num_positions <= self._decoder.num_positions

    def prefill(
        self, prompts: Sequence[Prompt], requests: Sequence[SongRequest], num_frames: int, first_frame: int = 0
    ) -> None:
        """Begin N songs of at most `num_frames`, of which the prompts hold those before `first_frame`."""
        noise = [sampling_noise(request.seed, num_frames, self._noise.shape[-1]) for request in requests]
        self._noise[:, :num_frames] = torch.stack(noise).to(self._noise.device)
        self._temperature.copy_(torch.tensor([request.sampling_temperature for request in requests])[:, None])
        self._min_frames.copy_(torch.tensor([frames_of(request.min_duration_sec) for request in requests]))
        self._frame_index.fill_(first_frame)
        self._is_finite.fill_(True)
        self._decoder.prefill(prompts, [request.guidance for request in requests])

    def next_frame(self) -> Tensor:
        """Sample the next frame of every song; return its codes [N, K] on the CPU, once they are there."""
        if self.uses_cuda_graphs:
            with torch.cuda.device(self._codes.device):
                self._replay(self._decoder.kv_length)
        else:
            self._decode_frame(self._decoder.kv_length)
        return self._codes.to("cpu", copy=True)

    def is_finite(self) -> bool:
        """Whether all logits of the songs so far were numbers."""
        return bool(self._is_finite)

    def _replay(self, kv_length: int) -> None:
        """Run the first frame of a length eagerly, which warms up the libraries; capture the second."""
        if kv_length not in self._graphs:
            self._graphs[kv_length] = None
            self._decode_frame(kv_length)
            return
        graph = self._graphs[kv_length] or self._capture(kv_length)
        self._graphs[kv_length] = graph
        graph.replay()
        self._decoder.length += 1

    def _capture(self, kv_length: int) -> torch.cuda.CUDAGraph:
        length, graph = self._decoder.length, torch.cuda.CUDAGraph()
        pool = next((captured.pool() for captured in self._graphs.values() if captured), None)
        torch.cuda.synchronize()
        # Other threads of a server may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self._decode_frame(kv_length)
        self._decoder.length = length
        return graph

    def _decode_frame(self, kv_length: int) -> None:
        noise = self._noise.index_select(1, self._frame_index)[:, 0]
        valid_tokens = self._valid_tokens[(self._frame_index >= self._min_frames).long()]
        _, _, topk = self._graph_key

        def choose(k: int, logits: Tensor) -> Tensor:
            if k == self._codes.shape[1] - 1:  # it attends to all that the frame was made of
                self._is_finite.logical_and_(logits.isfinite().all())
            cfg_scale, sampling = self._decoder.cfg_scale, (valid_tokens, noise[:, k], self._temperature, topk)
            if self._has_kernels:
                return triton_kernels.sample_top_k(logits, cfg_scale, *sampling)
            return sample_top_k(apply_cfg(logits.float(), cfg_scale), *sampling)

        self._codes.copy_(self._decoder.choose_frame(choose))
        self._decoder.append_frame(self._codes, kv_length)
        self._frame_index += 1


def graph_key(requests: Sequence[SongRequest]) -> tuple[int, bool, int]:
    """What is fixed in a captured frame: the number of songs, whether they are guided, and the top k."""
    return len(requests), is_guided(requests), requests[0].topk


def is_guided(requests: Sequence[SongRequest]) -> bool:
    return any(request.guidance > 1 for request in requests)
