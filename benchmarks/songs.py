"""How fast songs are made, frame by frame; every frame, whatever its codes, so that none ends before its time."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from benchmarks.report import gpu_peak_mib
from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.model_setup import load_network
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import describe_adapter
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.decoding import cached_transformer, graphed_decoder
from heartmula_studio.generate.decoding.frame_decoder import InferenceModel
from heartmula_studio.generate.decoding.graphed_decoder import GraphedDecoder
from heartmula_studio.generate.decoding.sampling import AudioVocabulary
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

REQUEST = SongRequest("piano, calm")
EARLY, LATE, AROUND = 100, 3000, 10  # frames at which the time of one is taken, the median of so many on each side
TOGETHER = (4, 16)
PLAIN_SHARE = 8  # of the song is enough to see how slow it is to launch every kernel of a frame by itself
SMALL_GPU_BYTES, LONG_SEC = 12 << 30, 240.0


class SongBench:
    """`seconds(work)` times work as often as it should be."""

    def __init__(self, base: BaseFolder, model: HeartMuLa, seconds: Callable[[Callable[[], object]], float]):
        self._base, self._model, self._seconds = base, model, seconds
        self._layout = PromptLayout.load(base)
        end_id = self._layout.special.audio_eos_id
        self._network = InferenceModel(model)
        self._ids = AudioVocabulary(end_id - 1, end_id)  # upstream keeps one id between the codes and the end

    @torch.inference_mode()
    def rows(self, song_sec: float) -> Iterator[tuple[str, str]]:
        num_frames = frames_of(song_sec)
        decoder = self._decoder(1, num_frames)
        alone = self._seconds(lambda: self._frames(decoder, num_frames))
        yield f"a song of {song_sec:g} s, guidance {REQUEST.guidance:g}", real_time(song_sec, alone)
        if decoder.uses_cuda_graphs:
            decoder.uses_cuda_graphs = False
            launched = self._seconds(lambda: self._frames(decoder, num_frames // PLAIN_SHARE))
            yield "the same without CUDA graphs", f"{PLAIN_SHARE * launched / alone:.1f} times as long"
            decoder = None
            yield (
                "the same in plain PyTorch, without our kernels",
                f"{self._plain(num_frames) / alone:.1f} times as long",
            )
        yield self._growth()
        for number in TOGETHER:
            decoder = None
            decoder = self._decoder(number, num_frames)
            together = self._seconds(lambda decoder=decoder: self._frames(decoder, num_frames))
            yield f"{number} such songs side by side", f"{real_time(number * song_sec, together)} in all"
        del decoder
        self._attach_lora()
        decoder = self._decoder(1, num_frames)
        tuned = self._seconds(lambda: self._frames(decoder, num_frames))
        yield "a song with a LoRA", f"{real_time(song_sec, tuned)}, {tuned / alone - 1:+.0%} time"

    def _plain(self, num_frames: int) -> float:
        """The seconds that a song takes with PyTorch's kernels only, launched one by one."""
        self._network = None
        without_kernels = {"is_triton_available": lambda device: False}
        with patch.multiple(cached_transformer, **without_kernels), patch.multiple(graphed_decoder, **without_kernels):
            self._network = InferenceModel(self._model)
            decoder = self._decoder(1, num_frames)
            decoder.uses_cuda_graphs = False
            spent = self._seconds(lambda: self._frames(decoder, num_frames // PLAIN_SHARE))
        self._network = decoder = None
        self._network = InferenceModel(self._model)
        return PLAIN_SHARE * spent

    def _growth(self) -> tuple[str, str]:
        last = min(LATE, self._model.backbone.flavor.max_seq_len // 2)
        times = self._frames(self._decoder(1, last + AROUND), last + AROUND)
        early, late = (median(times[at - AROUND : at + AROUND]) for at in (EARLY, last))
        return f"a frame at frame {last} to one at {EARLY}", f"{late / early:.2f} times ({1000 * late:.2f} ms)"

    def _decoder(self, num_songs: int, num_frames: int) -> GraphedDecoder:
        prompt = self._layout.build(REQUEST.tags, "")
        requests = [replace(REQUEST, seed=seed) for seed in range(num_songs)]
        return GraphedDecoder(self._network, self._ids, requests, len(prompt.tokens) + num_frames)

    def _frames(self, decoder: GraphedDecoder, num_frames: int) -> Sequence[float]:
        """Make a song; return what each frame took in seconds."""
        prompt, num_songs = self._layout.build(REQUEST.tags, ""), decoder.num_songs
        decoder.prefill([prompt] * num_songs, [replace(REQUEST, seed=seed) for seed in range(num_songs)], num_frames)
        times = []
        for _ in range(num_frames):
            started = time.perf_counter()
            decoder.next_frame()
            times.append(time.perf_counter() - started)
        return times

    def _attach_lora(self) -> None:
        weight = self._model.codebook0_head.weight
        with tempfile.TemporaryDirectory() as folder:
            untrained = load_network(self._base, TrainConfig(base_dtype="bfloat16"), weight.device)
            untrained.save_pretrained(folder, save_embedding_layers=False)
            del untrained
            Adapter(self._model, describe_adapter(Path(folder), BaseModel.of(self._model, "")))
        self._network = InferenceModel(self._model)


def small_gpu_rows(base: BaseFolder, device: torch.device) -> Iterator[tuple[str, str]]:
    """A song of four minutes, from tags to the file, where this process may take 12 GiB of the GPU and no more.

    The model and the codec of an official base take turns then.
    """
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(SMALL_GPU_BYTES / total, device)
    try:
        engine = Engine.load(base.tokenizer.parent, str(device))
        torch.cuda.reset_peak_memory_stats(device)
        never_ends = patch.object(graphed_decoder, "MIN_SONG_FRAMES", frames_of(LONG_SEC))
        with never_ends, tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            song = engine.make_song(replace(REQUEST, duration_sec=LONG_SEC), Path(folder) / "song.wav")
            spent, seconds = time.perf_counter() - started, song.receipt.duration_sec
        yield f"a song of {seconds:g} s within 12 GiB", f"{gpu_peak_mib(device):,.0f} MiB, {real_time(seconds, spent)}"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def real_time(sound_sec: float, spent_sec: float) -> str:
    return f"{sound_sec / spent_sec:.1f} x real time"
