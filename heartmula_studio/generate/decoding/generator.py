"""Autoregressive generation: from prompts to the codes of songs, with limits, progress and cancellation.

Knows a network and prompts; not files, styles or sound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ, frames_of
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.errors import CheckpointCorruptError, InvalidInputError
from heartmula_studio.generate.decoding.frame_decoder import InferenceModel
from heartmula_studio.generate.decoding.graphed_decoder import GraphedDecoder, is_guided
from heartmula_studio.generate.decoding.sampling import AudioVocabulary
from heartmula_studio.generate.finite import DIVERGED_HINT
from heartmula_studio.generate.request import MIN_SONG_SEC, SongRequest


@dataclass(frozen=True)
class WeightsVersion:
    """How often the model's layers were exchanged, and how strong the adapters are on their parts: 0 is none."""

    num_exchanges: int = 0
    strengths: tuple[float, ...] = ()

    def has_layers_of(self, other: "WeightsVersion") -> bool:
        """Whether the two differ at most in how strong the same adapters are on the same layers."""
        mine, theirs = ([strength == 0 for strength in version.strengths] for version in (self, other))
        return self.num_exchanges == other.num_exchanges and mine == theirs


class CodeGenerator:
    """Generates the codes of songs with one model, and keeps its decoder for the next ones. One call at a time."""

    def __init__(self, model: HeartMuLa, vocabulary: AudioVocabulary):
        self._model, self._vocabulary = model, vocabulary
        self._network: InferenceModel | None = None
        self._decoder: GraphedDecoder | None = None
        self._version = WeightsVersion()

    def release(self) -> None:
        """Free the decoder with its KV caches and graphs; the next song gets a new one."""
        self._network = self._decoder = None

    def generate(
        self,
        prompts: Sequence[Prompt],
        requests: Sequence[SongRequest],
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        version: WeightsVersion = WeightsVersion(),
    ) -> list[Tensor]:
        """Generate songs side by side, each int64 [K, T] on the CPU. Arguments and errors as `frames`."""
        songs: list[list[Tensor]] = [[] for _ in requests]
        for frames in self.frames(prompts, requests, progress, cancelled, version):
            for song, frame in zip(songs, frames, strict=True):
                if frame is not None:
                    song.append(frame)
        return [torch.stack(song, dim=1) for song in songs]

    @torch.inference_mode()
    def frames(
        self,
        prompts: Sequence[Prompt],
        requests: Sequence[SongRequest],
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        version: WeightsVersion = WeightsVersion(),
        prefix: Tensor | None = None,
    ) -> Iterator[list[Tensor | None]]:
        """Generate songs side by side; yield the next frame of each, int64 [K] on the CPU, None of one that has ended.

        A song ends at its end frame or at `duration_sec`. With a `prefix`, codes [K, F] that all of them begin with,
        they go on from there; the same seed goes on as the song that the prefix is of.
        version: of the model's weights; where it is not that of the last call, the decoder takes them over again.
        `progress(frames done, frame limit)` is called after every frame of the longest, `cancelled()` before every
        layer of the network, on a GPU before every frame.
        Raises InvalidInputError where a request exceeds the model or two cannot be made side by side, CancelledError,
        and CheckpointCorruptError at the end where what the model computed is not a number.
        """
        num_kept = 0 if prefix is None else prefix.shape[1]
        limits = self._limits(prompts, requests, num_kept)
        self._take_over(version)
        num_frames = max(limits)
        num_positions = max(len(prompt.tokens) for prompt in prompts) + num_frames
        network, decoder = self._decoder_for(requests, num_positions)
        # Nothing may interrupt a capture; a GPU is done with a frame within milliseconds.
        asked = None if decoder.uses_cuda_graphs else cancelled
        network.call_before_layers(lambda: check_cancelled(asked))
        songs = OpenSongs(limits, self._vocabulary.end_id, num_kept)
        if prefix is not None:
            yield from ([frame] * len(requests) for frame in prefix.T)
            prompts = [prompt.followed_by(prefix) for prompt in prompts]
        decoder.prefill(prompts, requests, num_frames, num_kept)
        for index in range(num_kept, num_frames):
            check_cancelled(cancelled)
            frames = songs.next_frames(decoder.next_frame())
            if all(frame is None for frame in frames):
                break
            if progress:
                progress(index + 1, num_frames)
            yield frames
        if not decoder.is_finite():
            raise CheckpointCorruptError("What the model computed for this song is not a number.", DIVERGED_HINT)

    def _limits(self, prompts: Sequence[Prompt], requests: Sequence[SongRequest], num_kept: int) -> list[int]:
        """Return the most frames of each song. Raises InvalidInputError as `frames`."""
        limits = [frame_limit(self._model, *pair) for pair in zip(prompts, requests, strict=True)]
        require_alike(requests)
        require_topk(self._model, requests[0].topk)
        require_longer(limits, num_kept)
        return limits

    def _take_over(self, version: WeightsVersion) -> None:
        if not version.has_layers_of(self._version):
            self.release()
        elif self._network and version != self._version:
            self._network.update_lora()
        self._version = version

    def _decoder_for(
        self, requests: Sequence[SongRequest], num_positions: int
    ) -> tuple[InferenceModel, GraphedDecoder]:
        self._network = self._network or InferenceModel(self._model)
        if self._decoder is None or not self._decoder.fits(requests, num_positions):
            self._decoder = None  # its memory is freed first
            self._decoder = GraphedDecoder(self._network, self._vocabulary, requests, num_positions)
        return self._network, self._decoder


class OpenSongs:
    """Which of the songs that are made side by side go on."""

    def __init__(self, limits: Sequence[int], end_id: int, num_frames: int = 0):
        self._limits, self._end_id = limits, end_id
        self._is_open = [True for _ in limits]
        self._num_frames = num_frames

    def next_frames(self, codes: Tensor) -> list[Tensor | None]:
        """Take the next frame of every song, [N, K]; return those of the songs that go on, None for the others."""
        for number, frame in enumerate(codes):
            is_at_limit = self._num_frames >= self._limits[number]
            self._is_open[number] &= not is_at_limit and not (frame >= self._end_id).any().item()
        self._num_frames += 1
        return [frame if is_open else None for frame, is_open in zip(codes, self._is_open, strict=True)]


def require_alike(requests: Sequence[SongRequest]) -> None:
    """Raise InvalidInputError unless the songs can be made side by side."""
    if len({(request.topk, is_guided([request])) for request in requests}) > 1:
        raise InvalidInputError(
            "Songs that are made together differ in `topk`, or only some have a `cfg_scale` above 1.",
            "Give them the same `topk`, and guidance to all or none; or make them one by one.",
        )


def require_longer(limits: Sequence[int], num_kept: int) -> None:
    """Raise InvalidInputError where songs are to end before what they begin with does."""
    if min(limits) <= num_kept:
        raise InvalidInputError(
            f"The song is to last {min(limits) / FRAME_RATE_HZ:g} s, and goes on after {num_kept / FRAME_RATE_HZ:g} s.",
            "Ask for a longer one: `duration_sec` counts from its beginning.",
        )


def require_topk(model: HeartMuLa, topk: int) -> None:
    if topk > model.config.audio_vocab_size:
        raise InvalidInputError(f"`topk` is {topk}.", f"This base model allows 1 to {model.config.audio_vocab_size}.")


def frame_limit(model: HeartMuLa, prompt: Prompt, request: SongRequest) -> int:
    """Return the length asked for in frames. Raises InvalidInputError unless the backbone has positions for it all."""
    num_frames = request.max_frames
    room = model.config.backbone_flavor.max_seq_len - len(prompt.tokens)
    if room < frames_of(MIN_SONG_SEC):
        raise InvalidInputError(
            f"Tags and lyrics take {len(prompt.tokens)} positions, which leaves this base model no room for a song.",
            f"It has {model.config.backbone_flavor.max_seq_len}; shorten the lyrics.",
        )
    if num_frames > room:
        raise InvalidInputError(
            f"{request.duration_sec:g} seconds are too long for this base model with these tags and lyrics.",
            f"Ask for at most {int(room / FRAME_RATE_HZ)} seconds, or shorten the lyrics.",
        )
    return num_frames
