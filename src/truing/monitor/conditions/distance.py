"""How far the policy has moved: from the reference, from its own beginning, from the policy that sampled."""

from __future__ import annotations

from truing.monitor.condition import Seen, condition
from truing.monitor.history import KL, History


@condition(
    needs=(KL,),
    advice="Raise the weight of `kl` (or reward_kl.coefficient, or set reward_kl.target), lower "
    "update.learning_rate, or train for fewer steps.",
    source="ours: the runs of docs/monitor.md stay below. That the true reward falls again as the KL grows, earlier "
    "for smaller reward models: arXiv:2009.01325, fig. 5; arXiv:2210.10760.",
)
def kl_drift(history: History, *, nats: float = 50.0, window: int = 3) -> Seen | None:
    """The policy is so far from the reference that a reward learnt on the reference's texts knows little of its own."""
    kl = history[KL]
    if len(kl) < window or (now := kl.recent(window)) <= nats:
        return None
    found = f"the KL from the reference is {now:.3g} nats a response, more than {nats:g}"
    return Seen(found, now / nats, kl.since(window))


@condition(
    needs=(KL,),
    advice="Lower update.learning_rate or max_grad_norm, take fewer update.passes, or a larger batch; `rollback` goes "
    "back and on with half the learning rate.",
    source="ours: in the runs of docs/monitor.md a step has at most 1.1 nats more than the median of the 10 before it.",
)
def kl_spike(history: History, *, times: float = 5.0, nats: float = 2.0, window: int = 10) -> Seen | None:
    """One update moved the policy much further from the reference than those before it."""
    kl = history[KL]
    if len(kl) <= window:
        return None
    usual = kl.usual(window)
    # A multiple of nearly nothing is nothing yet.
    limit = max(times * usual, usual + nats)
    if kl.last <= limit:
        return None
    found = f"the KL from the reference is {kl.last:.3g} nats a response; the {window} steps before had {usual:.3g}"
    return Seen(found, kl.last / limit, kl.steps[-1])


@condition(
    needs=("entropy",),
    advice="Lower update.learning_rate, raise clip_high (0.28 in DAPO), add the objective `entropy` or more `kl`, or "
    "sample at a higher temperature.",
    source="ours. That the reward gains nothing more once the entropy is used up: arXiv:2505.22617.",
)
def entropy_collapse(history: History, *, share: float = 0.1, window: int = 5) -> Seen | None:
    """The policy says nearly the same thing every time, and finds nothing new to be rewarded for."""
    entropy = history["entropy"]
    if len(entropy) < window:
        return None
    start, now = entropy.values[0], entropy.recent(window)
    if start <= 0 or now >= share * start:
        return None
    found = f"the entropy of a token is {now:.3g} nats, {now / start:.0%} of the {start:.3g} of the first step"
    return Seen(found, share * start / max(now, 1e-6), entropy.since(window))


@condition(
    needs=("clip_ratio/region",),
    advice="Lower update.learning_rate, or take fewer update.passes and update.minibatches.",
    source="ours. What is clipped has no gradient (arXiv:1707.06347, eq. 7). GSPO clips far more by design "
    "(arXiv:2507.18071): set the limit higher there.",
)
def clip_fraction(history: History, *, share: float = 0.3, window: int = 3) -> Seen | None:
    """So many tokens have moved beyond the clip range within a batch that much of it teaches nothing."""
    clipped = history["clip_ratio/region"]
    if len(clipped) < window or (now := clipped.recent(window)) <= share:
        return None
    return Seen(f"{now:.0%} of the tokens are clipped, more than {share:.0%}", now / share, clipped.since(window))


@condition(
    needs=("ratio/first_error",),
    advice="Look for dropout, for a template or temperature that differs between sampling and training, and for "
    "rollouts.old_logprobs = sampling with another engine or precision.",
    source="It is exactly 1 by definition. The limit is ours, with room for the rounding of bfloat16.",
)
def first_ratio(history: History, *, error: float = 0.05) -> Seen | None:
    """The first ratio of a batch is not 1: who trains gives the samples another probability than who sampled them."""
    apart = history["ratio/first_error"]
    if not len(apart) or apart.last <= error:
        return None
    found = f"before the first update of its batch some token's ratio is {apart.last:.2g} away from 1"
    return Seen(found, apart.last / error)


@condition(
    needs=("sampling/difference",),
    advice="Sample and train with one precision, template and temperature; with top_p below 1 or top_k the samples "
    "are of another distribution by design.",
    source="ours: float32 has 1e-6 here. That rounding apart makes training unstable: arXiv:2510.26788.",
)
def sampling_mismatch(history: History, *, nats: float = 0.05, window: int = 3) -> Seen | None:
    """Sampling and training disagree on the probability of the same tokens: training is off-policy unknowingly."""
    apart = history["sampling/difference"]
    if len(apart) < window or (now := apart.recent(window)) <= nats:
        return None
    found = f"log-probabilities of the same token differ by {now:.3g} nats on average, more than {nats:g}"
    return Seen(found, now / nats, apart.since(window))


@condition(
    needs=("sampling/effective",),
    advice="Mend what makes the sampler differ (see sampling_mismatch), or train on fresher samples.",
    source="ours; the effective sample size is Kish's, (Σw)² / Σw².",
)
def few_effective_samples(history: History, *, share: float = 0.5, window: int = 3) -> Seen | None:
    """A few responses carry nearly all of the importance weight: the batch is worth a fraction of its size."""
    effective = history["sampling/effective"]
    if len(effective) < window or (now := effective.recent(window)) >= share:
        return None
    found = f"by importance weight the responses are worth {now:.0%} of their number"
    return Seen(found, share / max(now, 1e-6), effective.since(window))
