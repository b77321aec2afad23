"""Equal to TRL's own code on samples, values and gradients, on the numbers that golden/make_rl.py has stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.advantages.gae import gae
from truing.reduce import weigh
from truing.registry import objective

FOLDER = Path(__file__).parent / "golden"
GRPO = json.loads((FOLDER / "trl_grpo.json").read_text())
PPO = json.loads((FOLDER / "trl_ppo.json").read_text())


def loss_of(streams: dict[str, Tensor], objectives: dict[str, Any], reduction: str, length: int = 1) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    groups = torch.zeros(len(streams["mask"]), dtype=torch.long)
    for name, settings in objectives.items():
        own = {k: v for k, v in settings.items() if k != "weight"}
        term = objective[name].function(*(streams[n] for n in objective[name].reads), **own)
        weighing = weigh(term.mask, groups, reduction, length=length)
        value = (weighing.weights * torch.where(term.mask, term.values, 0.0)).sum() / weighing.count
        total = total + settings.get("weight", 1.0) * value
    return total


@pytest.mark.parametrize("case", GRPO["cases"], ids=lambda c: f"{'+'.join(c['objectives'])}-{c['trl']}")
def test_the_grpo_family_is_that_of_trl(case: dict[str, Any]) -> None:
    streams = {n: torch.tensor(case[n], dtype=torch.float64) for n in ("logprobs", "old_logprobs", "ref_logprobs")}
    streams["mask"] = torch.tensor(case["mask"])
    streams["advantages"] = torch.tensor(case["advantages"], dtype=torch.float64)[:, None].expand(streams["mask"].shape)
    streams["logprobs"].requires_grad_()
    of_rloo = case["trl"].get("trainer") == "rloo"
    loss = loss_of(streams, case["objectives"], case["reduction"], 1 if of_rloo else case["length"])
    (gradient,) = torch.autograd.grad(loss, streams["logprobs"])
    if not of_rloo:  # REINFORCE has the gradient of the ratio, and another value
        assert loss.item() == pytest.approx(case["loss"], rel=1e-5, abs=1e-6)
    expected = torch.tensor(case["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)
    assert expected.abs().max() > 1e-3, "a gradient that is nearly nothing proves nothing"


@pytest.mark.parametrize("case", PPO["cases"], ids=["first", "second"])
def test_gae_is_that_of_trl_but_for_the_divisor_of_the_spread(case: dict[str, Any]) -> None:
    rewards, values = torch.tensor(case["dense_rewards"]), torch.tensor(case["old_values"])
    mask = torch.ones(rewards.shape, dtype=torch.bool)
    found = gae(rewards, values, mask, gamma=case["gamma"], lam=case["lam"])
    torch.testing.assert_close(found["returns"], torch.tensor(case["returns"]), rtol=1e-5, atol=1e-5)
    number = mask.sum().item()
    theirs = torch.tensor(case["advantages"]) * (number / (number - 1)) ** 0.5  # TRL divides by n - 1
    torch.testing.assert_close(found["advantages"], theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", PPO["cases"], ids=["first", "second"])
def test_the_loss_of_ppo_is_that_of_trl(case: dict[str, Any]) -> None:
    names = ("logprobs", "old_logprobs", "values", "old_values", "returns", "advantages")
    streams = {n: torch.tensor(case[n], dtype=torch.float64) for n in names}
    streams["mask"] = torch.ones(streams["logprobs"].shape, dtype=torch.bool)
    streams["logprobs"].requires_grad_()
    streams["values"].requires_grad_()
    loss = loss_of(streams, {"ppo_clip": {}, "value": {"weight": 0.1}}, "token")
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5, abs=1e-6)
    value_gradient, logprob_gradient = torch.autograd.grad(loss, (streams["values"], streams["logprobs"]))
    close = {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(value_gradient, torch.tensor(case["value_gradient"], dtype=torch.float64), **close)
    torch.testing.assert_close(logprob_gradient, torch.tensor(case["logprob_gradient"], dtype=torch.float64), **close)
    clipped = objective["value"].function(*(streams[n] for n in objective["value"].reads)).metrics["value/clipped"]
    assert clipped.mean().item() == pytest.approx(case["value_clipped"])
    assert 0 < case["value_clipped"] < 1
