"""What the responses look like, whatever they are worth."""

from __future__ import annotations

from truing.monitor.condition import Seen, condition
from truing.monitor.history import History


@condition(
    needs=("completions/clipped_ratio",),
    advice="Raise rollouts.max_new_tokens, or teach the policy to end: rollouts.missing_end_penalty, the reward "
    "`overlong`, rollouts.mask_truncated. If the model never ends, look at its template and end token.",
    source="ours. That cut responses are rewarded at random and should be masked or taxed: DAPO, arXiv:2503.14476, "
    "sec. 3.4.",
)
def truncated(history: History, *, share: float = 0.5, window: int = 3) -> Seen | None:
    """So many responses are cut at the limit that rewards are about fragments."""
    cut = history["completions/clipped_ratio"]
    if len(cut) < window or (now := cut.recent(window)) <= share:
        return None
    found = f"{now:.0%} of the responses are cut at max_new_tokens, more than {share:.0%}"
    return Seen(found, now / share, cut.since(window))


@condition(
    needs=("completions/mean_length",),
    advice="Compare a sample of long and short ones in samples.jsonl. Take length out of the reward (`overlong`, "
    "`length`, a reward model that is not biased), or reduction: constant. Reasoning may grow by itself: raise the "
    "limit.",
    source="ours. That length is what preference rewards are commonly gamed by: arXiv:2310.03716.",
)
def length_explosion(history: History, *, times: float = 3.0, window: int = 3) -> Seen | None:
    """Responses have become several times as long as they were."""
    length = history["completions/mean_length"]
    if len(length) < window:
        return None
    start, now = length.values[0], length.recent(window)
    if now <= times * start:
        return None
    found = f"responses have {now:.0f} tokens on average, {now / start:.1f} times the {start:.0f} of the first step"
    return Seen(found, now / (times * start), length.since(window))


@condition(
    needs=("completions/repetition",),
    advice="Add the reward `repetition`, more `kl`, or lower update.learning_rate; read samples.jsonl.",
    source="ours. The measure is seq-rep-4 of arXiv:1908.04319, sec. 6.",
)
def repetition(history: History, *, rise: float = 0.15, window: int = 3) -> Seen | None:
    """Responses say the same thing again and again."""
    repeated = history["completions/repetition"]
    if len(repeated) < 2 * window:
        return None
    start, now = repeated.first(window), repeated.recent(window)
    if now - start <= rise:
        return None
    found = f"{now:.0%} of the 4-grams of a response were in it before; at first {start:.0%}"
    return Seen(found, (now - start) / rise, repeated.since(window))
