"""HeartMuLa, the music language model: a backbone over time, a depth decoder over the codebooks of one frame.

Weights only; prompts live in `dataset.prompt`, sampling in `generate`. Tensor names equal the official checkpoints'.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from heartmula_studio.arch.llama import NAMED_FLAVORS, LlamaFlavor, Transformer
from heartmula_studio.files.json_file import config_errors_name, dataclass_from_json

LOGITS_AT_ONCE = 1 << 24  # 64 MiB in float32
ALIGNED = 8  # columns: a GPU is several times as fast where rows start at multiples of 16 bytes

# Takes logits [n, k, V] and their targets [n, k], returns a value for each codebook, [k].
Score = Callable[[Tensor, Tensor], Tensor]


def parse_flavor(value: str | Mapping[str, Any]) -> LlamaFlavor:
    """Read a flavor from its official name or from an object that spells out its sizes. Raises ValueError."""
    if isinstance(value, str) and value in NAMED_FLAVORS:
        return NAMED_FLAVORS[value]
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{value!r} is not a known transformer flavor; known are {', '.join(NAMED_FLAVORS)}, or all its sizes"
        )
    if unknown := value.keys() - {field.name for field in fields(LlamaFlavor)}:
        raise ValueError(f"a transformer flavor has no {', '.join(sorted(unknown))}")
    return dataclass_from_json(LlamaFlavor, value)


@dataclass(frozen=True)
class HeartMuLaConfig:
    """The contents of a HeartMuLa `config.json`."""

    backbone_flavor: LlamaFlavor
    decoder_flavor: LlamaFlavor
    text_vocab_size: int = 128_256
    audio_vocab_size: int = 8197
    audio_num_codebooks: int = 8
    muq_dim: int = 512

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "config.json") -> "HeartMuLaConfig":
        """Raises CheckpointMismatchError naming `source` where the values describe no network."""
        with config_errors_name(source):
            flavors = {role: parse_flavor(values[role]) for role in ("backbone_flavor", "decoder_flavor")}
            return dataclass_from_json(cls, {**values, **flavors})

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        for name, flavor in NAMED_FLAVORS.items():
            for role in ("backbone_flavor", "decoder_flavor"):
                if getattr(self, role) == flavor:
                    values[role] = name
        return {"model_type": "heartmula", "architectures": ["HeartMuLa"], **values}


def undrawn_embedding(count: int, width: int) -> nn.Embedding:
    """An embedding whose weights are still to be drawn or loaded; to draw them on the meta device loads a compiler."""
    return nn.Embedding.from_pretrained(torch.empty(count, width), freeze=False)


class HeartMuLa(nn.Module):
    """K codebooks of V audio tokens, one text column; shapes as documented on each method."""

    depth_positions_at_once = 1 << 13  # of the depth decoder: enough to keep a GPU busy, and few enough to fit
    name_or_path: str  # set by training; PEFT copies it into adapter_config.json

    def __init__(self, config: HeartMuLaConfig):
        super().__init__()
        self.config = config
        width, depth_width = config.backbone_flavor.embed_dim, config.decoder_flavor.embed_dim
        codebooks, vocabulary = config.audio_num_codebooks, config.audio_vocab_size
        self.backbone = Transformer(config.backbone_flavor)
        self.decoder = Transformer(config.decoder_flavor)
        self.text_embeddings = undrawn_embedding(config.text_vocab_size, width)
        self.audio_embeddings = undrawn_embedding(codebooks * vocabulary, width)
        self.unconditional_text_embedding = undrawn_embedding(1, width)
        self.projection = nn.Linear(width, depth_width, bias=False)
        self.codebook0_head = nn.Linear(width, vocabulary, bias=False)
        self.audio_head: nn.Parameter | nn.Module = nn.Parameter(torch.empty(codebooks - 1, depth_width, vocabulary))
        self.muq_linear = nn.Linear(config.muq_dim, width)

    @property
    def device(self) -> torch.device:
        return self.codebook0_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.codebook0_head.weight.dtype

    @torch.no_grad()
    def initialise(self, std: float = 0.02) -> None:
        """Draw every matrix from a normal distribution, for training from scratch."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, std)
        self.muq_linear.bias.zero_()

    def enable_gradient_checkpointing(self, enabled: bool = True) -> None:
        self.backbone.gradient_checkpointing = enabled
        self.decoder.gradient_checkpointing = enabled

    def embed_code(self, codebook: int, codes: Tensor) -> Tensor:
        """Embed tokens of one codebook: [...] → [..., D]."""
        return self.audio_embeddings(codes + codebook * self.config.audio_vocab_size)

    def embed_frames(self, codes: Tensor) -> Tensor:
        """Embed the tokens of all codebooks, not yet summed: [..., K] → [..., K, D]."""
        offsets = torch.arange(self.config.audio_num_codebooks, device=codes.device) * self.config.audio_vocab_size
        return self.audio_embeddings(codes + offsets)

    def embed_frame(self, codes: Tensor) -> Tensor:
        """Turn frames of codes into backbone inputs, as `embed` does: [..., K] → [..., D]."""
        return self.embed_frames(codes).sum(dim=-2)

    def embed(self, tokens: Tensor, mask: Tensor, muq_positions: Tensor, unconditional: Tensor | None = None) -> Tensor:
        """Turn a token matrix into backbone inputs.

        tokens, mask: [B, S, K+1], text in the last column; a position's input is the sum of its unmasked columns.
        muq_positions: [B], the slot replaced by the projection of an empty reference.
        unconditional: [B] bool, rows whose text and reference are replaced by the unconditional embedding.
        Returns [B, S, D].
        """
        text = self.text_embeddings(tokens[..., -1])
        reference = self.muq_linear(self.muq_linear.weight.new_zeros(len(tokens), self.config.muq_dim))
        if unconditional is not None:
            empty = self.unconditional_text_embedding.weight
            text = torch.where(unconditional[:, None, None], empty, text)
            reference = torch.where(unconditional[:, None], empty, reference)
        audio = self.embed_frames(tokens[..., :-1]) * mask[..., :-1, None]
        # Autocast adds up in float32 on a GPU, and all layers would have that to cast.
        x = audio.sum(dim=2, dtype=audio.dtype) + text * mask[..., -1:]
        is_reference = torch.arange(x.shape[1], device=x.device) == muq_positions[:, None]
        return torch.where(is_reference[..., None], reference[:, None].type_as(x), x)

    def depth_hidden(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Run the depth decoder with teacher forcing inside each frame.

        hidden: [N, D] backbone outputs; codes: [N, K] the frames they predict.
        Returns [N, K-1, decoder width]; row k-1 predicts codebook k.
        """
        previous = self.embed_frames(codes)[:, :-1]
        inputs = torch.cat((hidden[:, None].type_as(previous), previous), dim=1)
        pieces = inputs.split(max(1, self.depth_positions_at_once // codes.shape[1]))
        return torch.cat([self.decoder(self.projection(piece))[:, 1:] for piece in pieces])

    def first_logits(self, hidden: Tensor) -> Tensor:
        """Backbone outputs [N, D] → logits of codebook 0, [N, 1, V]."""
        return self.codebook0_head(hidden)[:, None]

    def replace_audio_head(self, head: nn.Parameter | nn.Module) -> None:
        """Put another parameter, or a module that returns the weights, in the place of `audio_head`."""
        del self.audio_head  # torch refuses a module where a parameter is
        self.audio_head = head

    def depth_head(self) -> Tensor:
        """The weights of the heads of codebooks 1 to K-1, with what an adapter changes: [K-1, decoder width, V]."""
        head = self.audio_head
        return head if isinstance(head, Tensor) else head(None)

    def aligned_head(self) -> Tensor:
        """`depth_head` with columns of zeros up to a multiple of `ALIGNED`, [K-1, decoder width, V']."""
        return F.pad(self.depth_head(), (0, -self.config.audio_vocab_size % ALIGNED))

    def depth_logits(self, head: Tensor, depth_hidden: Tensor) -> Tensor:
        """Outputs of the depth decoder [N, K-1, width] → logits of codebooks 1 to K-1, [N, K-1, V]."""
        return torch.einsum("nkd,kdv->nkv", depth_hidden, head)[..., : self.config.audio_vocab_size]

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        muq_positions: Tensor,
        unconditional: Tensor,
        predict: Tensor,
        targets: Tensor,
        depth_frames: Tensor | None = None,
        score: Score | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Teacher-forced logits at the N positions marked in `predict`, in row-major order, or their scores.

        tokens, mask: [B, S, K+1]; muq_positions: [B]; unconditional: [B] bool; predict: [B, S] bool;
        targets: [N, K], the frame that each marked position predicts;
        depth_frames: [M] indices into N whose codebooks 1…K-1 are predicted, None for all.
        Returns codebook 0's logits [N, 1, V] and the others' [M, K-1, V]; with `score`, its sums over all frames, [1]
        and [K-1], for which no more than `LOGITS_AT_ONCE` logits exist at a time.
        """
        hidden = self.backbone(self.embed(tokens, mask, muq_positions, unconditional))[predict]
        deep = slice(None) if depth_frames is None else depth_frames
        depth_hidden = self.depth_hidden(hidden[deep], targets[deep])
        depth_logits = partial(self.depth_logits, self.aligned_head())
        if score is None:
            return self.first_logits(hidden), depth_logits(depth_hidden)
        return (
            self._score(self.first_logits, hidden, targets[:, :1], score),
            self._score(depth_logits, depth_hidden, targets[deep, 1:], score),
        )

    def _score(self, head: Callable[[Tensor], Tensor], states: Tensor, targets: Tensor, score: Score) -> Tensor:
        """Add up the scores of chunks of frames; the backward pass recomputes the logits of each chunk."""

        def score_piece(states: Tensor, targets: Tensor) -> Tensor:
            return score(head(states), targets)

        frames = max(1, LOGITS_AT_ONCE // (targets.shape[1] * self.config.audio_vocab_size))
        if len(states) <= frames:
            return score_piece(states, targets)
        pieces = zip(states.split(frames), targets.split(frames), strict=True)
        return torch.stack([checkpoint(score_piece, *piece, use_reentrant=False) for piece in pieces]).sum(0)
