"""Equal to TRL's own code, values and gradients, on the numbers that golden/make.py has stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.registry import objective
from truing.statistics import STATISTICS

GOLDEN = json.loads((Path(__file__).parent / "golden" / "trl_pairs.json").read_text())


def called(case: dict[str, Any]) -> str:
    return f"{case['objective']}-{case['settings']}-{case['strength']}"


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=called)
def test_losses_on_pairs_are_those_of_trl(case: dict[str, Any]) -> None:
    logprobs = torch.tensor(case["logprobs"], dtype=torch.float64, requires_grad=True)
    pairs = len(logprobs) // 2
    streams = {
        "logprobs": logprobs,
        "ref_logprobs": torch.tensor(case["ref_logprobs"], dtype=torch.float64),
        "mask": torch.arange(logprobs.shape[1]) < torch.tensor(case["lengths"])[:, None],
        "chosen": torch.arange(pairs),
        "rejected": torch.arange(pairs) + pairs,
        "strength": torch.full((pairs,), case["strength"], dtype=torch.float64),
        "labels": torch.tensor([1, 0]).repeat_interleave(pairs),
        "demonstrations": torch.tensor([True, False]).repeat_interleave(pairs),
        # TRL's BCO on pairs has no shift.
        "desirable_log_ratio": torch.zeros(()),
        "undesirable_log_ratio": torch.zeros(()),
        "collision_logprobs": torch.tensor(case.get("collisions", [[0.0]]), dtype=torch.float64).expand_as(logprobs),
    }
    for name in ("reference_quantile", "rejected_quantile", "chosen_quantile"):
        streams[name] = STATISTICS[name].whole(*STATISTICS[name].entries(streams)).detach()
    entry = objective[case["objective"]]
    term = entry.function(*(streams[name] for name in entry.reads), **case["settings"])
    loss = case["scale"] * term.values[term.mask].mean()
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5)
    expected = torch.tensor(case["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)
    assert expected.abs().max() > 1e-4, "a gradient that is nearly nothing proves nothing"
