"""Training examples and batches: the prompt, the frames, and at which position which frame is predicted."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from heartmula_studio.dataset.prompt import Prompt, SpecialTokens, lay_frames
from heartmula_studio.errors import CheckpointMismatchError


@dataclass(frozen=True)
class Example:
    """One window. Position `first_prediction + i` predicts row i of `targets`; each later position holds that frame."""

    tokens: Tensor  # [S, K+1] int64, S = first_prediction + N
    mask: Tensor  # [S, K+1] bool
    muq_index: int
    first_prediction: int  # the last position of the prompt
    targets: Tensor  # [N, K] int64, the frames, then the end frame where the window ends the song


def make_example(
    prompt: Prompt, codes: Tensor, special: SpecialTokens, ends_song: bool, song: str = "the song"
) -> Example:
    """Lay out one window: the prompt, then codes [K, F], shifted against the targets by one frame.

    Raises CheckpointMismatchError, naming `song`, if the codes are not of this base's codec.
    """
    num_codebooks, num_frames = codes.shape
    assert num_frames > 0, codes.shape
    if num_codebooks != prompt.tokens.shape[1] - 1 or codes.min() < 0 or codes.max() >= special.audio_eos_id:
        raise CheckpointMismatchError(
            f"{song} has {num_codebooks} codebooks with codes from {codes.min()} to {codes.max()}; this base model "
            f"has {prompt.tokens.shape[1] - 1} with codes from 0 to {special.audio_eos_id - 1}.",
            "Tokenize the song with the codec of this base model.",
        )
    frames = codes.T.long()
    end_frame = frames.new_full((1, num_codebooks), special.audio_eos_id)
    targets = torch.cat((frames, end_frame)) if ends_song else frames
    frame_tokens, frame_mask = lay_frames(targets[:-1].T, special.empty_id)
    return Example(
        tokens=torch.cat((prompt.tokens, frame_tokens)),
        mask=torch.cat((prompt.mask, frame_mask)),
        muq_index=prompt.muq_index,
        first_prediction=len(prompt.tokens) - 1,
        targets=targets,
    )


@dataclass(frozen=True)
class Batch:
    """B examples, padded on the right, where no causal position sees it. Predictions are counted in row-major order."""

    tokens: Tensor  # [B, S, K+1] int64
    mask: Tensor  # [B, S, K+1] bool, False on padding
    muq_positions: Tensor  # [B] int64
    predict: Tensor  # [B, S] bool, the N positions that predict a frame
    targets: Tensor  # [N, K] int64
    unconditional: Tensor  # [B] bool, examples whose prompt is dropped in this step

    @classmethod
    def collate(cls, examples: Sequence[Example]) -> "Batch":
        num_predictions = torch.tensor([len(example.targets) for example in examples])
        first = torch.tensor([example.first_prediction for example in examples])
        tokens = pad_sequence([example.tokens for example in examples], batch_first=True)
        positions = torch.arange(tokens.shape[1])
        return cls(
            tokens=tokens,
            mask=pad_sequence([example.mask for example in examples], batch_first=True),
            muq_positions=torch.tensor([example.muq_index for example in examples]),
            predict=(positions >= first[:, None]) & (positions < (first + num_predictions)[:, None]),
            targets=torch.cat([example.targets for example in examples]),
            unconditional=torch.zeros(len(examples), dtype=torch.bool),
        )

    def to(self, device: str | torch.device) -> "Batch":
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})
