"""What every registered advantage promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from truing.registry import Entry, advantage
from truing.streams import STREAMS

NAN = float("nan")
REWARDS = torch.tensor([1.0, 0.0, 0.5, NAN, 0.25, 2.0, 2.0, -1.0, NAN, 3.0])
GROUPS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3, 4])  # group 3 has no reward at all, group 4 only one response
TOKENS = 3


def variants(entry: Entry) -> list[dict[str, Any]]:
    words = [{s.name: w} for s in entry.settings.values() for w in get_args(s.type) if isinstance(w, str)]
    return words or [{}]


CASES = [pytest.param(e, s, id=f"{e.name}-{s or 'defaults'}") for e in advantage for s in variants(e)]
every_advantage = pytest.mark.parametrize(("entry", "settings"), CASES)


def of(entry: Entry, settings: dict[str, Any], rewards: Tensor = REWARDS, groups: Tensor = GROUPS) -> Tensor:
    assert set(entry.reads) <= {"rewards", "groups"}, "teach this test the new stream"
    streams = {"rewards": rewards, "groups": groups}
    out = entry.function(*(streams[name] for name in entry.reads), **settings)
    assert isinstance(out, Tensor)
    return out


@every_advantage
def test_there_is_one_float32_for_every_row(entry: Entry, settings: dict[str, Any]) -> None:
    out = of(entry, settings)
    assert out.shape == REWARDS.shape
    assert out.dtype == torch.float32
    assert not out.requires_grad
    assert not of(entry, settings, rewards=REWARDS.clone().requires_grad_()).requires_grad


@every_advantage
def test_neither_order_of_rows_nor_names_of_groups_matter(entry: Entry, settings: dict[str, Any]) -> None:
    order = torch.randperm(len(REWARDS), generator=torch.Generator().manual_seed(3))
    names = torch.tensor([40, 3, 11, 0, 7])
    moved = of(entry, settings, REWARDS[order], names[GROUPS[order]])
    torch.testing.assert_close(moved, of(entry, settings)[order])


@every_advantage
def test_a_response_without_a_reward_does_not_count(entry: Entry, settings: dict[str, Any]) -> None:
    out = of(entry, settings)
    known = ~REWARDS.isnan()
    assert (out[~known] == 0).all()
    torch.testing.assert_close(out[known], of(entry, settings, REWARDS[known], GROUPS[known]))


@every_advantage
def test_a_response_alone_in_its_group_has_no_advantage(entry: Entry, settings: dict[str, Any]) -> None:
    assert of(entry, settings)[-1] == 0


@every_advantage
@pytest.mark.parametrize("reward", [0.0, 0.1, -7.3, 1e6 + 0.1, 1e30])
def test_equal_rewards_are_no_advantage(entry: Entry, settings: dict[str, Any], reward: float) -> None:
    out = of(entry, settings, torch.full((7,), reward), torch.tensor([0, 0, 0, 1, 1, 1, 1]))
    assert out.tolist() == pytest.approx([0.0] * 7, abs=1e-5)


@every_advantage
def test_adding_a_constant_to_a_groups_rewards_changes_nothing(entry: Entry, settings: dict[str, Any]) -> None:
    shifted = REWARDS + 5.0
    if settings.get("scale") != "batch":  # the spread of the batch sees differences between groups
        shifted = REWARDS + GROUPS
    torch.testing.assert_close(of(entry, settings, shifted), of(entry, settings), rtol=1e-5, atol=1e-6)


@every_advantage
def test_nothing_in_nothing_out(entry: Entry, settings: dict[str, Any]) -> None:
    assert of(entry, settings, torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)


@pytest.mark.parametrize("entry", list(advantage), ids=lambda e: e.name)
def test_every_advantage_names_its_source_and_its_settings(entry: Entry) -> None:
    text = entry.function.__doc__ or ""
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi:", text)
    assert all(f"`{name}`" in text for name in entry.settings)
    assert set(entry.reads) <= STREAMS.keys()


@pytest.mark.parametrize("entry", list(advantage), ids=lambda e: e.name)
def test_every_advantage_has_a_page_that_says_it_all(entry: Entry) -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods" / f"{entry.name}.md").read_text(encoding="utf-8")
    for heading in ("Equation", "Paper", "Reads", "Settings", "Logs", "Departures"):
        assert f"\n## {heading}\n" in page, heading
    for name in (*entry.reads, *entry.settings):
        assert f"`{name}`" in page, name
