"""Rankings within groups, as matrices over the rows of a micro-batch: what the list-wise objectives share."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.ranking import above, same_group


def group_sum(values: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of `[rows]` over each group, `[lists]`, and the first row of each."""
    numbers, place = torch.unique(groups, return_inverse=True)
    sums = values.new_zeros(len(numbers)).index_add(0, place, values)
    rows = torch.arange(len(groups), device=groups.device)
    first = torch.full_like(numbers, len(groups)).scatter_reduce(0, place, rows, "amin")
    return sums, first


def order_metrics(rewards: Tensor, pairs: Tensor, groups: Tensor) -> dict[str, Tensor]:
    """`rewards/margins` and `rewards/accuracies` over the `pairs` (bool `[rows, rows]`) of each group, `[lists]`; NaN
    for a group without any."""
    rewards = rewards.detach()
    gaps = rewards[:, None] - rewards[None, :]
    number, _ = group_sum(pairs.sum(1).to(rewards.dtype), groups)
    margins, _ = group_sum(torch.where(pairs, gaps, 0.0).sum(1), groups)
    right, _ = group_sum((pairs & (gaps > 0)).sum(1).to(rewards.dtype), groups)
    return {"rewards/margins": margins / number, "rewards/accuracies": right / number}


def plackett_luce_losses(utilities: Tensor, ranks: Tensor, groups: Tensor, ties: str) -> tuple[Tensor, Tensor, Tensor]:
    """-log of the probability of each group's ranking, for utilities `[rows]`: (values, mask, first row), `[lists]`.

    Each ranked response in turn is the choice from itself and what was put below. `ties`: `skip` leaves tied responses
    out of one another's choice, `equal` leaves them in (Breslow), so that the loss is least where they are equal.
    """
    better = above(ranks, groups)
    alternatives = better
    if ties == "equal":
        alternatives = same_group(groups, ranks > 0) & (ranks[:, None] <= ranks[None, :])
    itself = torch.eye(len(ranks), dtype=torch.bool, device=ranks.device)
    rows = utilities[None, :].masked_fill(~(alternatives | itself), float("-inf"))
    values, first = group_sum(rows.logsumexp(1) - utilities, groups)
    choices, _ = group_sum((alternatives & ~itself).sum(1), groups)
    return values, choices > 0, first
