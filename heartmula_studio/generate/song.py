"""From prompts to the codes of songs: the loop over frames, with its limits, progress and cancellation.

Knows a network and prompts; not files, styles or sound.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.rollout import FrameNetwork
from heartmula_studio.generate.sampling import AudioIds
from heartmula_studio.generate.stage import MIN_SONG_FRAMES, Stage, is_guided


class SongMaker:
    """Makes the codes of songs with one model, and keeps what it laid out for the next ones. One call at a time."""

    def __init__(self, model: HeartMuLa, ids: AudioIds):
        self._model, self._ids = model, ids
        self._network: FrameNetwork | None = None
        self._stage: Stage | None = None

    def forget(self) -> None:
        """To be called once an adapter was put on or taken off, or its strength became 0 or is no longer."""
        self._network = self._stage = None

    def refresh(self) -> None:
        """To be called once the strength of the adapter was changed otherwise."""
        if self._network:
            self._network.refresh()

    @torch.inference_mode()
    def make(
        self,
        prompts: Sequence[Prompt],
        requests: Sequence[SongRequest],
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> list[Tensor]:
        """Make the codes of songs side by side, each int64 [K, T] on the CPU, up to its end frame or `duration_sec`.

        `progress(frames done, frame limit)` is called after every frame of the longest, `cancelled()` before every
        layer of the network, on a GPU before every frame.
        Raises InvalidInputError where a request exceeds the model or two cannot be made side by side, CancelledError.
        """
        limits = [frame_limit(self._model, *pair) for pair in zip(prompts, requests, strict=True)]
        require_alike(requests)
        require_topk(self._model, requests[0].topk)
        num_frames = max(limits)
        stage = self._stage_for(requests, max(len(prompt.tokens) for prompt in prompts) + num_frames)
        # Nothing may interrupt a recording; a GPU is done with a frame within milliseconds.
        self._network.ask_before_layers(lambda: stage.is_recorded or check_cancelled(cancelled))
        stage.start(prompts, requests, num_frames)
        songs = Songs(limits, self._ids.end_id)
        for index in range(num_frames):
            check_cancelled(cancelled)
            if not songs.add(stage.next_frame()):
                break
            if progress:
                progress(index + 1, num_frames)
        return songs.codes()

    def _stage_for(self, requests: Sequence[SongRequest], num_positions: int) -> Stage:
        self._network = self._network or FrameNetwork(self._model)
        if self._stage is None or not self._stage.fits(requests, num_positions):
            self._stage = None  # what it holds makes room first
            self._stage = Stage(self._network, self._ids, requests, num_positions)
        return self._stage


class Songs:
    """The frames of songs that are made side by side, of which some end before the others."""

    def __init__(self, limits: Sequence[int], end_id: int):
        self._limits, self._end_id = limits, end_id
        self._frames: list[list[Tensor]] = [[] for _ in limits]
        self._is_open = [True for _ in limits]

    def add(self, codes: Tensor) -> bool:
        """Take the next frame of every song, [N, K]; return whether any of them went on by it."""
        for number, frame in enumerate(codes):
            is_at_limit = len(self._frames[number]) == self._limits[number]
            self._is_open[number] &= not is_at_limit and not (frame >= self._end_id).any().item()
            if self._is_open[number]:
                self._frames[number].append(frame)
        return any(self._is_open)

    def codes(self) -> list[Tensor]:
        return [torch.stack(frames, dim=1) for frames in self._frames]


def require_alike(requests: Sequence[SongRequest]) -> None:
    """Raise InvalidInputError unless the songs can be made side by side."""
    if len({(request.topk, is_guided([request])) for request in requests}) > 1:
        raise InvalidInputError(
            "Songs that are made together differ in `topk`, or only some have a `cfg_scale` above 1.",
            "Give them the same `topk`, and guidance to all or none; or make them one by one.",
        )


def require_topk(model: HeartMuLa, topk: int) -> None:
    if topk > model.config.audio_vocab_size:
        raise InvalidInputError(f"`topk` is {topk}.", f"This base model allows 1 to {model.config.audio_vocab_size}.")


def frame_limit(model: HeartMuLa, prompt: Prompt, request: SongRequest) -> int:
    """Return the length asked for in frames. Raises InvalidInputError unless the backbone has positions for it all."""
    num_frames = round(request.duration_sec * FRAME_RATE_HZ)
    room = model.config.backbone_flavor.max_seq_len - len(prompt.tokens)
    if room < MIN_SONG_FRAMES:
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
