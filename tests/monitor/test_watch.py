from __future__ import annotations

import pytest

from truing import recipe
from truing.errors import RecipeError
from truing.monitor import CONDITIONS, History, Monitor, Seen, condition
from truing.settings import MonitorSettings


def clipped(monitor: Monitor, share: float, steps: range) -> list[int]:
    """The steps at which it tells that this share is clipped."""
    news = []
    for step in steps:
        for finding in monitor.observe(step, {"clip_ratio/region": share}):
            news += [finding.step] if monitor.is_news(finding) else []
    return news


def test_a_finding_is_told_once_again_when_worse_by_half_and_after_a_while() -> None:
    monitor = Monitor(MonitorSettings(repeat=20))
    assert clipped(monitor, 0.4, range(1, 11)) == [3], "three steps make a mean"
    assert clipped(monitor, 0.75, range(11, 15)) == [12], "0.4 and two times 0.75 are 0.63 on average"
    assert clipped(monitor, 0.75, range(15, 40)) == [32], "20 steps later"
    (row,) = monitor.summary()
    assert (row["condition"], row["first"], row["last"], row["steps"]) == ("clip_fraction", 3, 39, 37)
    assert row["severity"] == pytest.approx(0.75 / 0.3)


def test_a_finding_begins_where_its_window_does_until_it_ends() -> None:
    monitor = Monitor(MonitorSettings())
    clipped(monitor, 0.1, range(1, 4))
    clipped(monitor, 0.6, range(4, 9))
    (finding,) = monitor.observe(9, {"clip_ratio/region": 0.6})
    assert finding.since == 3, "of the steps 3, 4 and 5 (0.1 + 0.6 + 0.6) / 3 is too much already"
    clipped(monitor, 0.0, range(10, 14))
    assert monitor.observe(14, {"clip_ratio/region": 0.0}) == []


def test_what_is_found_depends_on_the_history_alone() -> None:
    one, two = Monitor(MonitorSettings()), Monitor(MonitorSettings())
    lines = [{"kl/sequence": float(10 * step), "clip_ratio/region": 0.1 * step} for step in range(1, 9)]
    assert [one.observe(i, line) for i, line in enumerate(lines)] == [
        two.observe(i, line) for i, line in enumerate(lines)
    ]


def test_a_recipe_sets_actions_and_limits_and_leaves_conditions_out() -> None:
    chosen = recipe.load("grpo", ["monitor.actions.kl_drift=stop", "monitor.limits.kl_drift.nats=5"]).monitor
    monitor = Monitor(chosen)
    found = [f for step in (1, 2, 3) for f in monitor.observe(step, {"kl/sequence": 6.0})]
    assert [(f.condition, f.action) for f in found] == [("kl_drift", "stop")]
    ignoring = Monitor(MonitorSettings(ignore=["kl_drift"]))
    assert all(each.condition.name != "kl_drift" for each in ignoring.conditions)
    longer = Monitor(MonitorSettings(limits={"kl_drift": {"window": 5.0, "nats": 1}}))
    assert [f.step for step in range(1, 6) for f in longer.observe(step, {"kl/sequence": 6.0})] == [5]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"actions": {"kl_drft": "stop"}}, r"(?s)monitor.actions: .* `kl_drft`.*Did you mean `kl_drift`"),
        ({"ignore": ["nothing"]}, r"(?s)monitor.ignore: there is no condition `nothing`.*Conditions: .*kl_spike"),
        ({"limits": {"kl_drift": {"nat": 1}}}, r"(?s)monitor.limits.kl_drift: it has no limit `nat`.*nats = 50"),
    ],
)
def test_a_name_that_there_is_not_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Monitor(MonitorSettings.model_validate(settings))


def test_a_users_own_condition_is_watched_for_like_any_other() -> None:
    @condition(needs=("rewards/jokes/mean",), advice="Tell fewer jokes.", source="taste", action="stop")
    def too_funny(history: History, *, most: float = 3.0) -> Seen | None:
        """Nobody takes the policy seriously."""
        jokes = history["rewards/jokes/mean"]
        return Seen(f"{jokes.last:g} jokes an answer") if len(jokes) and jokes.last > most else None

    try:
        monitor = Monitor(MonitorSettings())
        assert monitor.observe(1, {"rewards/jokes/mean": 3.0}) == []
        (finding,) = monitor.observe(2, {"rewards/jokes/mean": 4.0})
        assert str(finding) == (
            "too_funny at step 2: 4 jokes an answer. Nobody takes the policy seriously. Tell fewer jokes."
        )
        assert finding.action == "stop"
    finally:
        del CONDITIONS["too_funny"]


def test_a_judge_needs_samples_and_evaluations() -> None:
    with pytest.raises(RecipeError, match="without `rollouts` there are none"):
        recipe.load("dpo", {"monitor.judge": ["length"]})
    with pytest.raises(RecipeError, match=r"set\s+record.evaluate_every"):
        recipe.load("grpo", {"monitor.judge": ["length"]})
    assert recipe.load("grpo", {"monitor.judge": ["math"], "record.evaluate_every": 5}).monitor.judge[0].name == "math"
