"""When a run has gone so wrong that going on would only cost time."""


def loss_alarm(share: float | None, initial: float | None, best: float | None, latest: float | None) -> str:
    """Say why a run should end: its held-out loss has risen by more than `share` above its lowest; "" if it has not.

    initial, best, latest: held-out losses of the base, of the best checkpoint and of now, in nats; None if unknown.
    """
    if share is None or best is None or latest is None:
        return ""
    lowest = best if initial is None else min(initial, best)
    if latest <= lowest * (1 + share):
        return ""
    rise = 100 * (latest / lowest - 1)
    return f"The held-out loss rose to {latest:.4f}, {rise:.0f} % above its lowest, {lowest:.4f}: training ended early."
