"""Learning from preferences: what the margin is made of, and whether there is one."""

from __future__ import annotations

from truing.monitor.condition import Seen, condition
from truing.monitor.history import History


@condition(
    needs=("rewards/chosen", "rewards/margins", "logps/chosen"),
    advice="Add a weight of `sft` to the objective (as RPO does), use `dpop`, raise beta, lower "
    "update.learning_rate, or leave out pairs whose two responses are nearly the same.",
    source="known as likelihood displacement: arXiv:2402.13228; arXiv:2410.08847. The limit, that the chosen response "
    "loses five times what the margin wins, is ours: over three seeds of docs/embedded-world.md it loses 2.4 times "
    "that with `dpo`, and 12 to 57 times with `slic` and `apo_down`, which fall apart there.",
)
def chosen_falls(history: History, *, share: float = 5.0, margin: float = 0.1, window: int = 10) -> Seen | None:
    """The margin grows because the rejected responses fall faster than the chosen ones, which fall too: probability
    goes to texts that nobody has preferred."""
    chosen, margins, logps = history["rewards/chosen"], history["rewards/margins"], history["logps/chosen"]
    if len(logps) < window + 1 or len(chosen) < window + 1:
        return None
    lost = chosen.values[0] - chosen.recent(window)
    won = margins.recent(window) - margins.values[0]
    if won <= margin or lost <= share * won or logps.recent(window) >= logps.values[0]:
        return None
    found = (
        f"over the last {window} steps the reward of the chosen response is {lost:.2g} below its beginning, while the "
        f"margin is {won:.2g} above it"
    )
    return Seen(found, lost / (share * won), chosen.since(window))


_FLIPPED = "Look whether chosen and rejected are swapped in the data (or the scale of its scores turned round), and "


@condition(
    needs=("eval/rewards/accuracies", "rewards/accuracies", "reward"),
    advice=_FLIPPED + "whether its rows are noise.",
    source="0.5 is a coin. Training data: 20 steps of 32 pairs below 0.45 are, at 2.5 standard errors, no coin.",
)
def accuracy(history: History, *, least: float = 0.5, trained: float = 0.45, window: int = 20) -> Seen | None:
    """The model prefers the rejected response more often than not."""
    held, seen = history["eval/rewards/accuracies"], history["rewards/accuracies"]
    if len(held) and held.last < least:
        found = f"{held.last:.0%} of the held-out comparisons are told right, less than {least:.0%}"
        advice = None
        if len(seen) and seen.recent(5) > least:
            advice = f"On the training data it is {seen.recent(5):.0%}: " + _FLIPPED + "whether both are of one kind."
        return Seen(found, 1 + least - held.last, held.steps[-1], advice)
    # A policy's fresh samples are compared before it has learnt from them: a coin, as it should be.
    if len(history["reward"]) or len(seen) <= window or (now := seen.recent(window)) >= trained:
        return None
    found = f"{now:.0%} of the comparisons of the last {window} steps are told right"
    return Seen(found, 1 + least - now, seen.since(window))
