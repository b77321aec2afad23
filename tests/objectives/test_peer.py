"""The losses again from their formulas: plain Python, one response and one token at a time, no tensor and no mask.

Whoever changes an objective has to change it here too, from the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from typing import Any

import pytest

from truing.registry import objective

from .conftest import Batches, reduced

Row = dict[str, Any]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def rows_of(batches: Batches, seed: int) -> tuple[list[Row], list[dict[str, Any]]]:
    """The made-up batch as lists: rows with their trained tokens only, and pairs of rows."""
    streams = batches.made(seed)
    kept = [[t for t, on in enumerate(row) if on] for row in streams["mask"].tolist()]
    tokens = ("logprobs", "ref_logprobs", "old_logprobs", "advantages", "entropies", "values", "old_values", "returns")
    rows: list[Row] = [
        {name: [streams[name][i][t].item() for t in on] for name in tokens}
        | {name: streams[name][i].item() for name in ("rewards", "demonstrations", "groups")}
        for i, on in enumerate(kept)
    ]
    fields = zip(*(streams[n].tolist() for n in ("chosen", "rejected", "strength", "margin")), strict=True)
    pairs = [{"chosen": rows[c], "rejected": rows[r], "strength": s, "margin": m} for c, r, s, m in fields]
    return rows, pairs


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


# per token -----------------------------------------------------------------------------------------------------------


def sft(row: Row, t: int) -> float:
    return -row["logprobs"][t]


def reinforce(row: Row, t: int) -> float:
    return -row["advantages"][t] * row["logprobs"][t]


def ppo_clip(row: Row, t: int) -> float:
    ratio, advantage = exp(row["logprobs"][t]) / exp(row["old_logprobs"][t]), row["advantages"][t]
    return -min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)


def kl(row: Row, t: int) -> float:
    ratio = exp(row["ref_logprobs"][t]) / exp(row["logprobs"][t])
    return ratio - log(ratio) - 1


def entropy(row: Row, t: int) -> float:
    return -row["entropies"][t]


def cispo(row: Row, t: int) -> float:
    ratio = exp(row["logprobs"][t]) / exp(row["old_logprobs"][t])
    return -min(ratio, 5.0) * row["advantages"][t] * row["logprobs"][t]


def value(row: Row, t: int) -> float:
    said, before, target = row["values"][t], row["old_values"][t], row["returns"][t]
    held = before + min(max(said - before, -0.2), 0.2)
    return max((said - target) ** 2, (held - target) ** 2) / 2


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("formula", [sft, reinforce, ppo_clip, kl, entropy, cispo, value], ids=lambda f: f.__name__)
def test_token_losses_agree(formula: Callable[[Row, int], float], seed: int, batches: Batches) -> None:
    rows, _ = rows_of(batches, seed)
    if formula is sft:
        rows = [row for row in rows if row["demonstrations"]]
    losses = [[formula(row, t) for t in range(len(row["logprobs"]))] for row in rows]
    groups: dict[int, list[float]] = {}
    for row, loss in zip(rows, losses, strict=True):
        groups.setdefault(row["groups"], []).extend(loss)
    expected = {
        "token": mean([x for loss in losses for x in loss]),
        "sequence": mean([mean(loss) for loss in losses if loss]),
        "group": mean([mean(loss) for loss in groups.values() if loss]),
        "constant": mean([sum(loss) / 8 for loss in losses if loss]),
    }
    entry = objective[formula.__name__]
    found = {how: reduced(entry, [batches.made(seed)], {}, how)[0] for how in expected}
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)  # weights are float32


# per pair ------------------------------------------------------------------------------------------------------------


def dpo(pair: dict[str, Any]) -> float:
    def implicit(row: Row) -> float:
        return 0.1 * (sum(row["logprobs"]) - sum(row["ref_logprobs"]))

    wins = sigmoid(implicit(pair["chosen"]) - implicit(pair["rejected"]))
    return -pair["strength"] * log(wins) - (1 - pair["strength"]) * log(1 - wins)


def bradley_terry(pair: dict[str, Any]) -> float:
    wins = sigmoid(pair["chosen"]["rewards"] - pair["rejected"]["rewards"] - pair["margin"])
    return -pair["strength"] * log(wins) - (1 - pair["strength"]) * log(1 - wins)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("formula", [dpo, bradley_terry], ids=lambda f: f.__name__)
def test_pair_losses_agree(formula: Callable[[dict[str, Any]], float], seed: int, batches: Batches) -> None:
    _, pairs = rows_of(batches, seed)
    losses = [formula(pair) for pair in pairs]
    groups: dict[int, list[float]] = {}
    for pair, loss in zip(pairs, losses, strict=True):
        groups.setdefault(pair["chosen"]["groups"], []).append(loss)
    expected = dict.fromkeys(("token", "sequence", "constant"), mean(losses))
    expected["group"] = mean([mean(loss) for loss in groups.values()])
    entry = objective[formula.__name__]
    found = {how: reduced(entry, [batches.made(seed)], {}, how)[0] for how in expected}
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)  # weights are float32
