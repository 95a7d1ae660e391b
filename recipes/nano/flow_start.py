"""Start the flow as what is known of Gaussian latents, so that codes decide how loud each latent becomes from step 0.

For a latent of mean 0 and standard deviation s, the best velocity at the point x of time t is

    v = -x / (1 - t) + x · sigmoid(2 (log s + logit t)) / (t (1 - t))

The last block's gated MLP can compute it: `up` carries x, the gate knows log s, which is nearly linear in what the
quantiser gives, and the time. Training adds the means, what neighbouring frames tell, and what is not Gaussian.
"""

import math

import torch
from torch import Tensor, nn

from heartmula_studio.arch.flow_matching import FlowMatching
from heartmula_studio.arch.velocity_network import TimeModulation

FIRST_TIME, LAST_TIME = 0.04, 0.96  # nearer to the ends, the velocity's terms grow without bound
LOUD = 80.0  # one constant channel, so loud that the norms are nearly linear
SUMMARY_LOUDNESS = 3.0
QUIET = 0.1
NUM_TIMES = 10_000  # many more than features, or the fit would be wrong between them
SHIFT_MLP, GATE_MLP = 3, 5  # among the six parts of a block's modulation


@torch.no_grad()
def start_as_gaussian(flow: FlowMatching, quantised: Tensor, log_std: Tensor) -> None:
    """Overwrite the last stage of a flow with one block in it.

    quantised: [N, dim], what codes give; log_std: [N, C], the logarithm of the latents' standard deviation there.
    """
    estimator, channels, rank = flow.estimator, flow.config.out_channels, flow.config.codebook_dim
    summary = write_summary(flow.cond_feature_emb, quantised, rank)
    slopes = torch.linalg.lstsq(summary, log_std - log_std.mean(0)).solution
    places = DecodePositions(channels, rank)
    norm = write_ends(flow, places)
    (block,) = estimator.transformer_blocks_2
    for table in (block.scale_shift_table, estimator.scale_shift_table_2):
        table.zero_()
    write_gates(block.mlp, places, slopes, log_std.mean(0), norm)
    write_time(estimator.adaln_single_2, places)


class DecodePositions:
    """Where things are in the last stage: the point, a constant, two clocks, and a summary of the codes."""

    def __init__(self, channels: int, rank: int):
        self.point = torch.arange(channels)
        self.loud, self.logit, self.square = channels, channels + 1, channels + 2
        self.summary = channels + 3 + torch.arange(rank)
        self.num = channels + 3 + rank


def write_summary(layer: nn.Linear, quantised: Tensor, rank: int) -> Tensor:
    """Let the first features be the principal components of what codes give, of variance 1; return them, [N, rank]."""
    centre = quantised.mean(0)
    _, scale, axes = torch.linalg.svd(quantised - centre, full_matrices=False)
    whitening = axes[:rank] * (math.sqrt(len(quantised)) / scale[:rank, None])
    layer.weight[:rank] = whitening
    layer.bias[:rank] = -whitening @ centre
    return (quantised - centre) @ whitening.T


def write_ends(flow: FlowMatching, places: DecodePositions) -> float:
    """Bring point, constant and summary in, and the negative point out; return the norm's divisor."""
    channels, into, out = flow.config.out_channels, flow.estimator.connection_proj, flow.estimator.proj_out
    for layer in (into, out):
        layer.ffn_1.bias.zero_()
        nn.init.eye_(layer.ffn_2.weight)
        nn.init.zeros_(layer.ffn_2.bias)
    into.ffn_1.weight[: places.num] = 0
    into.ffn_1.weight[places.point, places.point, 1] = 1 / into.scale
    condition = 2 * channels + torch.arange(len(places.summary))
    into.ffn_1.weight[places.summary, condition, 1] = SUMMARY_LOUDNESS / into.scale
    into.ffn_1.bias[places.loud] = LOUD / into.scale
    width = out.ffn_1.in_channels
    norm = math.sqrt((LOUD**2 + channels + len(places.summary) * SUMMARY_LOUDNESS**2) / width)
    out.ffn_1.weight.mul_(QUIET)
    out.ffn_1.weight[places.point, :, :] = 0
    out.ffn_1.weight[places.point, places.point, 1] = -norm / out.scale
    out.ffn_1.bias[places.point] = -LOUD / width / out.scale  # the norm takes the mean away
    return norm


def write_gates(mlp: nn.Module, places: DecodePositions, slopes: Tensor, means: Tensor, norm: float) -> None:
    """Units of a channel in turn: two whose difference is a step in log s and time, one that is t², one to learn."""
    channels = len(places.point)
    mlp.up.weight.mul_(QUIET)
    mlp.down.weight.mul_(QUIET)
    mlp.down.weight[:channels] = 0
    for turn, (offset, share) in enumerate(((1.0, 0.5), (-1.0, -0.5), (None, -1.0))):
        units = turn * channels + places.point
        mlp.up.weight[units] = 0
        mlp.up.weight[units, places.point] = norm
        mlp.down.weight[places.point, units] = share
        mlp.gate.weight[units] = 0
        if offset is None:
            mlp.gate.weight[units, places.square] = 1
            continue
        mlp.gate.weight[units[:, None], places.summary] = 2 * slopes.T * norm / SUMMARY_LOUDNESS
        mlp.gate.weight[units, places.logit] = 2
        mlp.gate.weight[units, places.loud] = (2 * means + offset) * norm / LOUD


def write_time(modulation: TimeModulation, places: DecodePositions) -> None:
    """Fit what the block needs to know of the time: logit t, what SiLU makes t² of, and the gate -1 / (t (1 - t))."""
    embedder = modulation.emb["timestep_embedder"]
    for parameter in (embedder.linear_2.weight, embedder.linear_2.bias):
        parameter[: places.num] = 0  # what the last norm would add to the velocity
    times = torch.linspace(FIRST_TIME, LAST_TIME, NUM_TIMES)
    features = nn.functional.silu(embedder(times))
    width = modulation.linear.in_features
    wanted = {
        SHIFT_MLP * width + places.logit: times.logit(),
        SHIFT_MLP * width + places.square: silu_inverse(times**2),
    }
    rows = torch.stack((*wanted.values(), -1 / (times * (1 - times))), dim=1)
    ones = torch.ones(len(times), 1)
    fitted = torch.linalg.lstsq(torch.cat((features, ones), dim=1), rows, driver="gelsd").solution
    modulation.linear.weight.mul_(QUIET)
    modulation.linear.bias.mul_(QUIET)
    targets = [*([row] for row in wanted), (GATE_MLP * width + places.point).tolist()]
    for column, indices in enumerate(targets):
        modulation.linear.weight[indices] = fitted[:-1, column]
        modulation.linear.bias[indices] = fitted[-1, column]


def silu_inverse(values: Tensor) -> Tensor:
    """The positive numbers of which SiLU makes `values`, by Newton's method."""
    x = values + 1
    for _ in range(30):
        sigmoid = x.sigmoid()
        x = x - (x * sigmoid - values) / (sigmoid * (1 + x * (1 - sigmoid)))
    return x
