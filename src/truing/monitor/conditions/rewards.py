"""Whether the reward teaches anything, and whether it teaches what was meant."""

from __future__ import annotations

import math

from truing.monitor.condition import Seen, condition
from truing.monitor.history import History


@condition(
    needs=(
        *("frac_reward_zero_std", "frac_reward_zero_std/lowest", "frac_reward_zero_std/highest"),
        *("reward/lowest", "reward/highest", "completions/clipped_ratio", "entropy"),
    ),
    advice="Mix easier and harder prompts, sample more per prompt (rollouts.group_size), or refill such groups "
    "(rollouts.refill).",
    source="Groups without a difference have no gradient (DAPO, arXiv:2503.14476, sec. 3.2). The limit is ours.",
)
def same_rewards(history: History, *, share: float = 0.9, window: int = 3) -> Seen | None:
    """All responses to a prompt are worth the same, for nearly every prompt: there is nothing to learn from."""
    low, high = history["reward/lowest"], history["reward/highest"]
    if len(low) < window:
        return None
    # Groups of one have no spread of their own: there the whole batch has to be the same.
    constant = max(high.values[-window:]) - min(low.values[-window:]) < 1e-8
    same = history["frac_reward_zero_std"] if len(history["frac_reward_zero_std/lowest"]) else None
    now = 1.0 if constant else same.recent(window) if same and len(same) >= window else 0.0
    if now < share:
        return None
    cause, cure = _cause(history, window)
    return Seen(f"{now:.0%} of the groups have one reward for all their responses. {cause}", now / share,
                low.since(window), cure)  # fmt: skip


def _cause(history: History, window: int) -> tuple[str, str | None]:
    """Why nothing differs, and what to do about that."""
    lowest, highest = min(history["reward/lowest"].values), max(history["reward/highest"].values)
    now_low = min(history["reward/lowest"].values[-window:])
    now_high = max(history["reward/highest"].values[-window:])
    if highest - lowest < 1e-8:
        wrong, right = lowest <= 0, lowest >= 1
    elif now_high - now_low < 1e-8:
        wrong, right = now_low - lowest < 1e-8, highest - now_high < 1e-8
    else:
        bottom = history["frac_reward_zero_std/lowest"].recent(window)
        top = history["frac_reward_zero_std/highest"].recent(window)
        wrong, right = bottom > 2 * top, top > 2 * bottom
    cut = history["completions/clipped_ratio"]
    if wrong and len(cut) >= window and cut.recent(window) > 0.5:
        return (
            f"Cause: all are wrong, with {now_low:g}: {cut.recent(window):.0%} of them are cut at max_new_tokens "
            "before they come to an answer",
            "Raise rollouts.max_new_tokens, or teach the policy to end by SFT on complete answers.",
        )
    if wrong:
        return (
            f"Cause: all are wrong, with {now_low:g}: the task is too hard for the policy, or it never produces the "
            "format that the reward reads",
            "Begin with SFT on worked answers in the very format that the reward reads (chains of thought, for "
            "reasoning: `truing train sft`), take easier prompts, sample more per prompt (rollouts.group_size), or "
            "add a reward for steps on the way, such as `format`. Read samples.jsonl: if right answers are there, the "
            "reward does not read them.",
        )
    if right:
        return (
            f"Cause: all are right, with {now_high:g}: the prompts are too easy",
            "Take harder prompts, or stop here: what these can teach is learnt. rollouts.refill looks for groups that "
            "still differ.",
        )
    if now_high - now_low < 1e-8:
        return (
            f"Cause: the reward is {now_high:g} whatever is said",
            "Look at the reward: it does not depend on the response, or its column of the data is wrong.",
        )
    return "Cause: each prompt has its own answer, right or wrong always; too easy and too hard ones are mixed", None


@condition(
    needs=("rewards/never_earned",),
    advice="`rewards/NAME/mean` says which. Begin with SFT on answers that earn it (worked solutions in the very "
    "format that it reads: `truing train sft`), give credit on the way (`format` with `partial`), or leave it out. "
    "Read samples.jsonl: if there are answers that should earn it, the reward does not read them.",
    source="ours. What is never sampled cannot be made likelier: a policy gradient weighs what was said.",
)
def silent_reward(history: History, *, window: int = 5) -> Seen | None:
    """One of several rewards has given 0 to every response since the first step: the policy never does what it asks
    for, and so cannot learn it."""
    silent = history["rewards/never_earned"]
    if len(silent) < window or min(silent.values) < 1:
        return None
    return Seen(
        f"{silent.last:.0f} of the rewards gave 0 to every response of {len(silent)} steps", since=silent.steps[0]
    )


@condition(
    needs=("eval/judge", "eval/judge/std_error", "eval/reward"),
    action="stop",
    advice="Train for fewer update.steps, or make the reward harder to game: several reward models (`ensemble`), a "
    "penalty for what is exploited (read samples.jsonl), more `kl`, or a reward model trained on the "
    "policy's new samples.",
    source="A proxy rises while the true reward falls: arXiv:2210.10760. The limit, three standard errors, is ours.",
)
def reward_hacking(history: History, *, errors: float = 3.0) -> Seen | None:
    """The reward rises and the held-out judge falls: the policy has learnt to please the reward, not to be good."""
    judge, error, proxy = history["eval/judge"], history["eval/judge/std_error"], history["eval/reward"]
    if len(judge) < 2 or not len(judge) == len(error) == len(proxy):
        return None
    best = max(range(len(judge)), key=judge.values.__getitem__)
    fall = judge.values[best] - judge.last
    noise = math.hypot(error.values[best], error.last)
    if proxy.last <= proxy.values[best] or fall <= errors * noise or fall < 1e-9:
        return None
    found = (
        f"from step {judge.steps[best]} to {judge.steps[-1]} the reward went from {proxy.values[best]:.3g} to "
        f"{proxy.last:.3g}, and the judge from {judge.values[best]:.3g} to {judge.last:.3g} "
        f"(standard error of the change {noise:.2g})"
    )
    return Seen(found, fall / (errors * noise) if noise else fall, judge.steps[best] + 1)


@condition(
    needs=("rewards/length_correlation", "completions/mean_length"),
    advice="If length was not asked for: subtract it (`overlong`, `length`), train the reward model on pairs of equal "
    "length, or set a judge (monitor.judge) to see what it costs.",
    source="ours. That most of what PPO gains on preference rewards may be length: arXiv:2310.03716.",
)
def reward_is_length(
    history: History, *, correlation: float = 0.7, growth: float = 1.3, window: int = 3
) -> Seen | None:
    """Longer responses are the better rewarded ones, and responses grow: length is what is learnt."""
    along, length = history["rewards/length_correlation"], history["completions/mean_length"]
    if len(along) < window or len(length) < window:
        return None
    now, times = along.recent(window), length.recent(window) / max(length.values[0], 1e-9)
    if now <= correlation or times <= growth:
        return None
    found = f"reward and length correlate by {now:.2f} within groups, and responses are {times:.1f} times as long"
    return Seen(found, now / correlation * times / growth, along.since(window))


@condition(
    needs=("rewards/ensemble/spread", "co_reward/disagreement"),
    advice="Read the rewards with `how: worst` or `uncertainty`, add `kl`, or train the reward models on new samples.",
    source="ours. That models agree where they were trained and part beyond: arXiv:2310.02743.",
)
def ensemble_spread(history: History, *, times: float = 2.0, window: int = 5) -> Seen | None:
    """The reward models disagree about the policy's responses far more than they did: it has left what they know."""
    spread = history["rewards/ensemble/spread"]
    if not len(spread):
        spread = history["co_reward/disagreement"]
    if len(spread) < 2 * window:
        return None
    start, now = spread.first(window), spread.recent(window)
    if start <= 0 or now <= times * start:
        return None
    found = f"the reward models differ by {now:.3g} on a response, {now / start:.1f} times what they did at first"
    return Seen(found, now / (times * start), spread.since(window))
