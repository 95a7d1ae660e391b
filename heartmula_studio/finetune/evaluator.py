"""The held-out loss of a run, measured by all of its processes together."""

import math

import torch

from heartmula_studio.errors import NonFiniteLossError
from heartmula_studio.finetune.data_plan import StepPlan
from heartmula_studio.finetune.evaluate import NON_FINITE_HINT, MeanLoss, sum_losses
from heartmula_studio.finetune.examples import ExampleSet
from heartmula_studio.finetune.setup import Setup


def held_out_loss(setup: Setup, step: int, examples: ExampleSet | None = None) -> MeanLoss:
    """Measure the loss on the held-out songs after `step` steps. Raises NonFiniteLossError in all processes.

    examples: others in place of them.
    """
    held_out = setup.held_out if examples is None else examples
    accelerator, size = setup.accelerator, setup.config.batch_size
    processes, process = accelerator.num_processes, accelerator.process_index
    plan = StepPlan(epoch=0, examples=tuple(range(len(held_out))))
    totals = torch.zeros(2, setup.num_codebooks, device=accelerator.device)
    for micro_step in range(plan.num_micro_steps(processes, size)):
        share = plan.share(micro_step, process, processes, size)
        # A sharded network runs in all processes or in none.
        batch = [held_out[i] for i in share or plan.examples[:1]]
        with setup.averaged():
            totals += sum_losses(setup.network, batch, size, setup.num_codebooks) * bool(share)
    sums, counts = accelerator.reduce(totals, "sum")
    loss = MeanLoss.of(sums / counts)
    if not math.isfinite(loss.mean):
        songs = ", ".join(held_out.songs())
        raise NonFiniteLossError(f"The held-out loss is not finite after step {step}, on {songs}.", NON_FINITE_HINT)
    return loss
