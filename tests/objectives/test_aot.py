from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.aot import aot
from truing.reduce import Term
from truing.registry import objective
from truing.statistics import STATISTICS

from .conftest import Batches


def of_margins(margins: list[float], reference: list[float], **settings: Any) -> tuple[Term, Tensor]:
    """Pairs of one token each whose rejected response has log-probability 0, as one batch; and their margins."""
    made = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(len(margins), dtype=torch.float64)
    pairs = torch.arange(len(margins))
    streams = {
        "logprobs": torch.cat([made, zeros])[:, None],
        "ref_logprobs": torch.cat([torch.tensor(reference, dtype=torch.float64), zeros])[:, None],
        "mask": torch.ones(2 * len(margins), 1, dtype=torch.bool),
        "chosen": pairs,
        "rejected": pairs + len(margins),
    }
    statistic = STATISTICS["reference_quantile"]
    streams["reference_quantile"] = statistic.whole(*statistic.entries(streams)).detach()
    return aot(*(streams[name] for name in objective["aot"].reads), **settings), made


def test_the_smallest_margin_is_held_against_the_smallest_of_the_reference() -> None:
    # Sorted: 1 against 1 and 5 against 1 + 4 − log 3; the pairs themselves are 5 against 1 and 1 against 5 − log 3.
    term, _ = of_margins([5.0, 1.0], [1.0, 5.0 - math.log(3)], beta=1.0)
    assert term.values.tolist() == pytest.approx([math.log(4 / 3), math.log(2)])


def test_a_policy_whose_margins_are_those_of_the_reference_in_any_order_has_log_2() -> None:
    term, _ = of_margins([3.0, -1.0, 2.0], [2.0, 3.0, -1.0])
    assert term.values.tolist() == pytest.approx([math.log(2)] * 3)


def test_each_pair_has_the_slope_of_its_own_place() -> None:
    term, margins = of_margins([5.0, 1.0], [1.0, 5.0 - math.log(3)], beta=1.0)
    (slopes,) = torch.autograd.grad(term.values.sum(), margins)
    assert slopes.tolist() == pytest.approx([-0.25, -0.5])  # −σ(−m)


def test_labels_that_may_be_wrong_pull_back() -> None:
    term, margins = of_margins([math.log(9)], [0.0], beta=1.0, label_smoothing=0.1)
    (slope,) = torch.autograd.grad(term.values.sum(), margins)
    assert slope.item() == pytest.approx(0, abs=1e-12)  # least at logit(0.9)


def test_a_batch_of_one_pair_is_dpo(batches: Batches) -> None:
    streams = batches.take(batches.made(), [0])  # one pair
    statistic = STATISTICS["reference_quantile"]
    streams["reference_quantile"] = statistic.whole(*statistic.entries(streams))
    streams["strength"] = torch.ones(1, dtype=torch.float64)
    found, expected = (
        objective[name].function(*(streams[n] for n in objective[name].reads), beta=0.4) for name in ("aot", "dpo")
    )
    assert found.values.tolist() == pytest.approx(expected.values.tolist())
    assert found.metrics["rewards/margins"].tolist() == pytest.approx(expected.metrics["rewards/margins"].tolist())
