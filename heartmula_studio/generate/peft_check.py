"""Is an adapter played as PEFT itself plays it? The logits of both, for one made-up stretch of a song."""

import logging
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder, load_heartmula
from heartmula_studio.arch.device import free_bytes
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.generate.adaptable_model import AdaptableModel
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.strength import Strength

ADAPTER = "compared"
FRAMES = 12
SHARE_OF_FREE_MEMORY = 0.25
"""That the base may take in float32, for a training or an engine may be at work beside the comparison."""
LARGEST_DIFFERENCE = 1e-3
DIFFERENCE_WARNING = (
    "PEFT itself plays it otherwise: its logits differ by {share:.1g} of the largest. Songs may not sound as they did "
    "where it was made."
)

_log = logging.getLogger(__name__)


def difference_from_peft(folder: Path, base: BaseFolder) -> float | None:
    """Return the largest difference of the logits of a stored adapter, in float32, as a share of the largest logit.

    None where the base is too large for the memory that is free, and where PEFT cannot load the adapter.
    Raises CheckpointError where the base cannot be loaded, or the adapter does not fit.
    """
    if _float32_bytes(base) > SHARE_OF_FREE_MEMORY * free_bytes("cpu"):
        return None
    model = load_heartmula(base.model)
    adaptable = AdaptableModel(model, base)
    adaptable.put_on([adaptable.identify(folder, Strength())])
    ours = _logits(model)
    adaptable.take_off()
    if not _load_by_peft(model, folder):
        return None
    theirs = _logits(model)
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def _load_by_peft(model: HeartMuLa, folder: Path) -> bool:
    """Have PEFT put an adapter on a model; False where it refuses it, or loads other tensors than are stored."""
    try:
        network = PeftModel(model, PeftConfig.from_pretrained(str(folder)), ADAPTER)
        loaded = network.load_adapter(str(folder), ADAPTER)
    except Exception as error:  # whatever it is that PEFT has against it, the studio plays it
        _log.info("PEFT cannot load the adapter in %s: %s", folder, error)
        return False
    network.eval()
    return not (loaded.missing_keys or loaded.unexpected_keys)


def warn_of_difference(difference: float | None) -> tuple[str, ...]:
    """Return what the owner of an adapter has to know of `difference_from_peft`."""
    if difference is None or difference <= LARGEST_DIFFERENCE:
        return ()
    return (DIFFERENCE_WARNING.format(share=difference),)


def _float32_bytes(base: BaseFolder) -> int:
    return sum(4 * torch.Size(shape).numel() for shape in describe_base(base).shapes.values())


@torch.inference_mode()
def _logits(model: HeartMuLa) -> Tensor:
    """Logits of all codebooks behind each of `FRAMES` random frames, [FRAMES, K, V]."""
    num_codebooks, vocabulary = model.config.audio_num_codebooks, model.config.audio_vocab_size
    tokens = torch.zeros(1, FRAMES, num_codebooks + 1, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    tokens[..., :-1] = torch.randint(vocabulary, (1, FRAMES, num_codebooks), generator=generator)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[..., -1] = False
    logits = model(
        tokens,
        mask,
        muq_positions=torch.full((1,), -1),
        unconditional=torch.zeros(1, dtype=torch.bool),
        predict=torch.ones(1, FRAMES, dtype=torch.bool),
        targets=tokens[0, :, :-1],
    )
    return torch.cat(logits, dim=1)
