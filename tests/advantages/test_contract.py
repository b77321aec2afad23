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
LENGTHS = (3, 5, 1, 4, 2, 5, 3, 4, 2, 1)
TOKENS = 5
SPOKEN_BY_OTHERS = ((1, 2), (1, 4), (5, 0), (7, 3))  # row and token: a tool's answer within, before and after

Streams = dict[str, Tensor]


def made(rewards: Tensor = REWARDS, groups: Tensor = GROUPS, mask: Tensor | None = None) -> Streams:
    """A batch as `online.py` makes it: what no reward speaks of is not trained on, a reward's last part is at the last
    trained token, and all of it adds up to the reward."""
    rows = len(rewards)
    if mask is None:
        lengths = torch.tensor([LENGTHS[i % len(LENGTHS)] for i in range(rows)], dtype=torch.long)
        mask = torch.arange(TOKENS) < lengths[:, None]
        for row, token in SPOKEN_BY_OTHERS:
            if row < rows:
                mask[row, token] = False
        mask &= ~rewards.isnan()[:, None]
    random = torch.Generator().manual_seed(1)
    dense = 0.1 * torch.randn(rows, TOKENS, generator=random).masked_fill(~mask, 0.0)
    for row in range(rows):
        if mask[row].any():
            last = int(mask[row].nonzero()[-1])
            dense[row, last] = 0.0
            dense[row, last] = rewards[row] - dense[row].sum()
    return {
        "rewards": rewards,
        "groups": groups,
        "mask": mask,
        "dense_rewards": dense,
        "old_values": torch.randn(rows, TOKENS, generator=random).masked_fill(~mask, 0.0),
        "baselines": torch.randn(rows, generator=random),
    }


def only(streams: Streams, rows: Tensor) -> Streams:
    return {name: stream[rows] for name, stream in streams.items()}


def variants(entry: Entry) -> list[dict[str, Any]]:
    """The defaults, and every setting moved away from its default in turn."""
    out: list[dict[str, Any]] = [{}]
    for setting in entry.settings.values():
        words = [w for w in get_args(setting.type) if isinstance(w, str)]
        flags = [True, False] if setting.type is bool else []
        numbers = [0.37] if isinstance(setting.default, float) else []
        out += [{setting.name: value} for value in (*words, *flags, *numbers) if value != setting.default]
    return out


CASES = [pytest.param(e, s, id=f"{e.name}-{s or 'defaults'}") for e in advantage for s in variants(e)]
every_advantage = pytest.mark.parametrize(("entry", "settings"), CASES)


def within_groups(entry: Entry, settings: dict[str, Any]) -> bool:
    """It compares the responses to one prompt, and nothing else."""
    return set(entry.reads) == {"rewards", "groups"}


comparing = pytest.mark.parametrize(("entry", "settings"), [c for c in CASES if within_groups(*c.values[:2])])  # type: ignore[arg-type]
# These take a mean off: what all rewards have in common says nothing to them.
centring = pytest.mark.parametrize(
    ("entry", "settings"),
    [
        c
        for c in CASES
        if within_groups(*c.values[:2])  # type: ignore[arg-type]
        or (c.values[0].name in ("batch_mean", "reinforce_pp") and "gamma" not in c.values[1])  # type: ignore[union-attr,operator]
    ],
)


def of(entry: Entry, settings: dict[str, Any], streams: Streams | None = None) -> Streams:
    streams = made() if streams is None else streams
    assert set(entry.reads) <= streams.keys(), "teach this test the new stream"
    out = entry.function(*(streams[name] for name in entry.reads), **settings)
    out = out if isinstance(out, dict) else {"advantages": out}
    assert out.keys() <= {n for n, s in STREAMS.items() if s.maker == "advantages"}
    assert "advantages" in out
    return out


def same(found: Streams, expected: Streams, **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], **tolerance)


@every_advantage
def test_there_is_one_float32_for_every_row_or_every_token(entry: Entry, settings: dict[str, Any]) -> None:
    streams = made()
    leaves = {n: s.clone().requires_grad_() if s.is_floating_point() else s for n, s in streams.items()}
    for out in (*of(entry, settings, streams).values(), *of(entry, settings, leaves).values()):
        assert out.shape in (REWARDS.shape, streams["mask"].shape)
        assert out.dtype == torch.float32
        assert not out.requires_grad
        assert out.isfinite().all()


@every_advantage
def test_neither_order_of_rows_nor_names_of_groups_matter(entry: Entry, settings: dict[str, Any]) -> None:
    order = torch.randperm(len(REWARDS), generator=torch.Generator().manual_seed(3))
    names = torch.tensor([40, 3, 11, 0, 7])
    moved = only(made(), order)
    moved["groups"] = names[moved["groups"]]
    same(of(entry, settings, moved), only(of(entry, settings), order), rtol=1e-5, atol=1e-6)


@every_advantage
@pytest.mark.parametrize("junk", [0.0, 7.0, -1e4, float("inf"), NAN])
def test_masked_tokens_do_not_count(entry: Entry, settings: dict[str, Any], junk: float) -> None:
    streams = made()
    outside = ~streams["mask"]
    spoilt = {
        n: s.masked_fill(outside, junk) if STREAMS[n].shape == "rows tokens" and s.is_floating_point() else s
        for n, s in streams.items()
    }
    found = of(entry, settings, spoilt)
    same(found, of(entry, settings), rtol=0, atol=0)
    for out in found.values():
        assert out.ndim == 1 or (out[outside] == 0).all()


@every_advantage
def test_padding_does_not_matter(entry: Entry, settings: dict[str, Any]) -> None:
    streams = made()
    wide = {
        n: s if s.ndim == 1 else torch.cat([s, torch.zeros(len(s), 3, dtype=s.dtype)], 1) for n, s in streams.items()
    }
    found = {n: out if out.ndim == 1 else out[:, :TOKENS] for n, out in of(entry, settings, wide).items()}
    same(found, of(entry, settings), rtol=0, atol=0)


@every_advantage
def test_a_response_without_a_reward_does_not_count(entry: Entry, settings: dict[str, Any]) -> None:
    streams = made()
    out = of(entry, settings, streams)
    known = ~REWARDS.isnan()
    for one in out.values():
        assert (one[~known] == 0).all()
    same(only(out, known), of(entry, settings, only(streams, known)))


@comparing
def test_a_response_alone_in_its_group_has_no_advantage(entry: Entry, settings: dict[str, Any]) -> None:
    assert of(entry, settings)["advantages"][-1] == 0


@centring
@pytest.mark.parametrize("reward", [0.0, 0.1, -7.3, 1e6 + 0.1, 1e30])
def test_equal_rewards_are_no_advantage(entry: Entry, settings: dict[str, Any], reward: float) -> None:
    groups = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    streams = made(torch.full((7,), reward), groups, torch.tensor([[True] + [False] * (TOKENS - 1)] * 7))
    assert of(entry, settings, streams)["advantages"].flatten().tolist() == pytest.approx(
        [0.0] * (7 if set(entry.reads) <= {"rewards", "groups"} else 7 * TOKENS), abs=1e-5
    )


@centring
def test_adding_a_constant_to_all_rewards_changes_nothing(entry: Entry, settings: dict[str, Any]) -> None:
    shifted = made(REWARDS + 5.0)
    same(of(entry, settings, shifted), of(entry, settings), rtol=1e-4, atol=1e-5)


@comparing
def test_adding_a_constant_to_a_groups_rewards_changes_nothing(entry: Entry, settings: dict[str, Any]) -> None:
    if settings.get("scale") == "batch":
        pytest.skip("the spread of the batch sees differences between groups")
    same(of(entry, settings, made(REWARDS + GROUPS)), of(entry, settings), rtol=1e-5, atol=1e-6)


@every_advantage
def test_a_larger_reward_is_never_a_smaller_advantage(entry: Entry, settings: dict[str, Any]) -> None:
    before, after = made(), made(REWARDS + torch.tensor([0.0, 0.6, *[0.0] * 8]))
    found, expected = of(entry, settings, after)["advantages"][1], of(entry, settings, before)["advantages"][1]
    if "old_values" in entry.reads or "dense_rewards" in entry.reads:  # at the token that is given it
        found, expected = found[3], expected[3]
    assert found > expected


@every_advantage
def test_nothing_in_nothing_out(entry: Entry, settings: dict[str, Any]) -> None:
    nothing = only(made(), torch.zeros(0, dtype=torch.long))
    assert all(len(out) == 0 for out in of(entry, settings, nothing).values())
    nobody = made(torch.full((3,), NAN), torch.tensor([0, 0, 1]))
    assert all((out == 0).all() for out in of(entry, settings, nobody).values())


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
