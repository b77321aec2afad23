"""Whether the optimizer, the value model and the data still do what they should."""

from __future__ import annotations

from truing.monitor.condition import Seen, condition
from truing.monitor.history import KL, History


@condition(
    needs=("loss", "grad_norm", "eval/loss", KL),
    action="stop",
    advice="A lower update.learning_rate or a longer update.warmup usually helps; look for odd rows too.",
    source="by definition.",
)
def not_finite(history: History) -> Seen | None:
    """A number that everything else is computed from is NaN or infinite."""
    latest = max((step for name in _VITAL for step in history[name].steps[-1:]), default=0)
    for name in _VITAL:
        step, value = history.odd.get(name, (-1, 0.0))
        if step >= latest:
            return Seen(f"`{name}` is {value}", since=step)
    return None


_VITAL = ("loss", "grad_norm", "eval/loss", KL)


@condition(
    needs=("grad_norm",),
    advice="One step is survived, since gradients are clipped to max_grad_norm; if it comes again, lower "
    "update.learning_rate, lengthen the warm-up, and look at the rows of the step.",
    source="ours: in the runs of docs/monitor.md no norm is above 2.6 times the median of the 20 before it.",
)
def gradient_explosion(history: History, *, times: float = 10.0, window: int = 20) -> Seen | None:
    """The gradient is suddenly far larger than it was: odd data, or weights on the way to nowhere."""
    norm = history["grad_norm"]
    if len(norm) <= window or (limit := times * norm.usual(window)) <= 0 or norm.last <= limit:
        return None
    found = f"the gradient norm is {norm.last:.3g}, {norm.last / norm.usual(window):.0f} times what is usual"
    return Seen(found, norm.last / limit, norm.steps[-1])


@condition(
    needs=("value/explained_variance",),
    advice="Start the values from the reward model (critic.path), raise critic.lr_multiplier or the weight of `value`, "
    "or look whether rewards are whitened or their scale changes.",
    source="0 is what a constant explains, below it is worse (OpenAI Baselines, explained_variance). That it may be "
    "so for the first 20 steps is ours.",
)
def explained_variance(history: History, *, least: float = 0.0, window: int = 10, grace: int = 20) -> Seen | None:
    """The value model predicts the return worse than a constant would: its advantages are noise."""
    explained = history["value/explained_variance"]
    if len(explained) < grace + window or (now := explained.recent(window)) >= least:
        return None
    found = f"the values explain {now:.2f} of the variance of the returns over the last {window} steps"
    return Seen(found, 1 + least - now, explained.since(window))


@condition(
    needs=("loss", "eval/loss"),
    advice="Fewer update.epochs, a lower update.learning_rate, more data, or LoRA.",
    source="ours: the loss on held-out data, 10 % above its best, twice in a row.",
)
def overfitting(history: History, *, rise: float = 0.1) -> Seen | None:
    """The loss on held-out data rises while that on the training data falls: the data is learnt by heart."""
    held, trained = history["eval/loss"], history["loss"]
    if len(held) < 3:
        return None
    best = min(held.values)
    place = list(held.values).index(best)
    limit = best + rise * abs(best)
    if place > len(held) - 3 or min(held.values[-2:]) <= limit:
        return None
    then = [v for s, v in zip(trained.steps, trained.values, strict=True) if s <= held.steps[place]][-5:]
    if not then or trained.recent(5) >= sum(then) / len(then):
        return None
    found = (
        f"the held-out loss is {held.last:.3g}; it was {best:.3g} at step {held.steps[place]}, when the training loss "
        f"was {sum(then) / len(then):.3g}, now {trained.recent(5):.3g}"
    )
    severity = (held.last - best) / max(limit - best, 1e-12)
    return Seen(found, severity, held.steps[place] + 1)
