"""From a prompt to the codes of a song: the loop over frames, with its limits, progress and cancellation.

Knows a network and a prompt; not files, styles or sound.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled, stoppable
from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.rollout import Rollout
from heartmula_studio.generate.sampling import allowed_ids, draws, sample

# One second: a model tuned on a handful of songs may want to end before it has begun.
MIN_SONG_FRAMES = math.ceil(1.0 * FRAME_RATE_HZ)


@dataclass(frozen=True)
class AudioIds:
    """What the ids of the audio vocabulary mean: codes below `codebook_size`, and the end of the song."""

    codebook_size: int
    end_id: int


@torch.inference_mode()
def generate_codes(
    model: HeartMuLa,
    prompt: Prompt,
    ids: AudioIds,
    request: SongRequest,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Tensor:
    """Generate the song's codes [K, T], int64 on the CPU, up to the end frame or `duration_sec`.

    `progress(frames done, frame limit)` is called after every frame, `cancelled()` before every layer of the network.
    Raises InvalidInputError where the request exceeds the model, CancelledError on cancellation.
    """
    num_frames = frame_limit(model, prompt, request)
    sampler = Sampler(model, ids, request, num_frames)
    with stoppable(model, cancelled):  # a long prompt takes a 3B model more than a second on a CPU
        rollout = Rollout(model, prompt, num_frames, request.cfg_scale)
    frames: list[Tensor] = []
    with stoppable(one_module_per_layer(model), cancelled):
        for index in range(num_frames):
            check_cancelled(cancelled)
            codes = rollout.choose_frame(partial(sampler.choose, index))
            if (codes >= ids.end_id).any():
                break
            frames.append(codes)
            rollout.advance(codes)
            if progress:
                progress(index + 1, num_frames)
    return torch.stack(frames, dim=1).cpu()


def one_module_per_layer(model: HeartMuLa) -> nn.ModuleList:
    """Return where to ask for cancellation: asking at every linear layer would slow a small model by a sixth."""
    return nn.ModuleList(layer.sa_norm for layer in [*model.backbone.layers, *model.decoder.layers])


class Sampler:
    """The sampling settings and the chance of one song, laid out on the model's device beforehand."""

    def __init__(self, model: HeartMuLa, ids: AudioIds, request: SongRequest, num_frames: int):
        vocab_size, device = model.config.audio_vocab_size, model.codebook0_head.weight.device
        if request.topk > vocab_size:
            raise InvalidInputError(f"`topk` is {request.topk}.", f"This base model allows 1 to {vocab_size}.")
        self._request = request
        self._uniform = draws(request.seed, num_frames, model.config.audio_num_codebooks).to(device)
        self._codes = allowed_ids(vocab_size, ids.codebook_size, ids.end_id, False, device)
        self._codes_and_end = allowed_ids(vocab_size, ids.codebook_size, ids.end_id, True, device)

    def choose(self, frame: int, codebook: int, logits: Tensor) -> Tensor:
        """Draw the code of one codebook from its guided logits [V]."""
        allowed = self._codes if frame < MIN_SONG_FRAMES else self._codes_and_end
        return sample(logits, allowed, self._uniform[frame, codebook], self._request.temperature, self._request.topk)


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
