"""Numbers and texts about a batch of samples, for the log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from truing.experience.drawn import Drawn
from truing.experience.signs import length_correlation, mean_repetition, never_earned, same_rewards
from truing.recipe import labels_of
from truing.rewards.score import Function
from truing.rollouts.sampling import Sample

__all__ = ["completions", "entropy", "of_signs", "of_values", "some_texts", "told"]


def entropy(streams: Mapping[str, Tensor]) -> dict[str, float]:
    """−log π of the samples themselves: their mean is the policy's entropy, for nothing (exactly so with top-p and
    top-k off)."""
    mask = streams["mask"] & ~streams["rivals"][:, None]
    if "sampled_logprobs" not in streams or not mask.any():
        return {}
    return {"entropy": float(-streams["sampled_logprobs"][mask].mean())}


def of_values(streams: Mapping[str, Tensor]) -> dict[str, float]:
    """How much of the returns the value model knew: 1 − Var(returns − values) / Var(returns)."""
    if not {"returns", "old_values"} <= streams.keys() or int(streams["mask"].sum()) < 2:
        return {}
    mask = streams["mask"]
    returns, values = streams["returns"][mask], streams["old_values"][mask]
    spread = float(returns.var())
    explained = 1 - float((returns - values).var()) / spread if spread > 0 else math.nan
    return {
        "value/mean": float(values.mean()),
        "value/returns": float(returns.mean()),
        "value/explained_variance": explained,
    }


def some_texts(drawn: Drawn) -> list[dict[str, Any]]:
    """Two responses to each of two prompts."""
    return [
        {"prompt": group.prompt.text, "completion": text, "reward": reward}
        for group, row, rewards in list(zip(drawn.groups, drawn.texts, drawn.scored.totals, strict=True))[:2]
        for text, reward in list(zip(row, rewards, strict=True))[:2]
    ]


def of_signs(drawn: Drawn) -> dict[str, float]:
    """What a reward may be learnt as instead of what was meant (docs/monitor.md)."""
    totals = drawn.scored.totals
    along = length_correlation(totals, [[len(s.tokens) for s in row] for row in drawn.samples])
    out = same_rewards(totals) | {"rewards/never_earned": never_earned(drawn.scored.parts)}
    return out | ({} if math.isnan(along) else {"rewards/length_correlation": along})


def told(rewards: Sequence[Function]) -> dict[str, float]:
    """What rewards themselves say about their last call, in an attribute `metrics`."""
    names = labels_of(name for name, _, _ in rewards)
    return {
        f"rewards/{name}/{metric}": value
        for name, (_, _, function) in zip(names, rewards, strict=True)
        for metric, value in getattr(function, "metrics", {}).items()
    }


def completions(samples: Sequence[Sequence[Sample]]) -> dict[str, float]:
    """Lengths in tokens, how many were cut at the limit, how much is repeated; of the policy's own samples."""
    flat = [s for row in samples for s in row if not s.rival]
    lengths = [len(s.tokens) for s in flat]
    return {
        "completions/mean_length": sum(lengths) / len(flat),
        "completions/max_length": float(max(lengths)),
        "completions/clipped_ratio": sum(not s.finished for s in flat) / len(flat),
        "completions/repetition": mean_repetition([s.tokens for s in flat]),
    }
