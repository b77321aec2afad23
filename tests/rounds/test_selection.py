from __future__ import annotations

from truing.group import Group, Labels, Prompt, Ranking, Response, Scores
from truing.rounds.selection import selected
from truing.settings import RoundsSettings

TEXTS = ("a", "b", "c", "d")


def _scored(*values: float | None, texts: tuple[str, ...] = TEXTS) -> Group:
    responses = tuple(Response.of(text) for text in texts[: len(values)])
    return Group(Prompt.of("?"), responses, (Scores({"overall": values}),), {"kind": "x"})


def _pairs(*values: float | None, finished: tuple[bool, ...] = (True,) * 4, **said: object) -> list[tuple[str, ...]]:
    groups = selected(_scored(*values), finished, RoundsSettings.model_validate(said))
    return [tuple(r.text for r in group.responses) for group in groups]


def test_the_best_is_set_against_the_worst_with_their_distance_as_margin() -> None:
    (pair,) = selected(_scored(1.0, 3.0, -1.0, 2.0), [True] * 4, RoundsSettings())
    assert [r.text for r in pair.responses] == ["b", "c"]
    assert pair.feedback == (Ranking.pair(margin=4.0),)
    assert pair.columns == {"kind": "x"}


def test_second_best_meets_second_worst_until_they_are_equal() -> None:
    assert _pairs(1.0, 3.0, -1.0, 2.0, per_prompt=5) == [("b", "c"), ("d", "a")]
    assert _pairs(1.0, 1.0, 0.0, 0.0, per_prompt=5) == [("a", "d"), ("b", "c")], "right against wrong"
    assert _pairs(1.0, 0.0, 0.0, 0.0, per_prompt=5) == [("a", "d")], "each response is used once"


def test_equal_rewards_are_no_pair_and_near_ones_are_left_out_by_the_gap() -> None:
    assert _pairs(1.0, 1.0, 1.0) == []
    assert _pairs(1.0, 1.5) == [("b", "a")]
    assert _pairs(1.0, 1.5, gap=0.6) == []
    assert _pairs(1.0, 3.0, 2.0, 2.5, gap=1.0, per_prompt=2) == [("b", "a")], "2.5 and 2.0 are too near"


def test_what_was_cut_is_never_chosen_and_may_be_rejected() -> None:
    assert _pairs(3.0, 2.0, 1.0, finished=(False, True, True)) == [("b", "c")]
    assert _pairs(1.0, 2.0, finished=(False, True)) == [("b", "a")]
    assert _pairs(3.0, 2.0, finished=(False, True), select="best") == [("b",)]


def test_a_sample_without_a_reward_and_a_repeated_one_take_no_part() -> None:
    assert _pairs(None, 2.0, 1.0) == [("b", "c")]
    assert _pairs(None, None) == []
    twice = _scored(2.0, 2.0, 1.0, texts=("a", "a", "c"))
    found = selected(twice, [True] * 3, RoundsSettings(select="best", per_prompt=2))
    assert [group.responses[0].text for group in found] == ["a", "c"]


def test_the_best_are_demonstrations_above_a_floor() -> None:
    (best,) = selected(_scored(1.0, 3.0, 2.0), [True] * 3, RoundsSettings(select="best"))
    assert (best.responses[0].text, best.feedback) == ("b", ())
    assert _pairs(1.0, 3.0, 2.0, select="best", per_prompt=3, at_least=1.5) == [("b",), ("c",)]
    assert _pairs(1.0, 3.0, select="best", at_least=4.0) == []
    assert _pairs(1.0, 1.0, select="best") == [("a",)], "a demonstration needs nothing to be compared with"
    assert _pairs(1.0, 1.0, select="best", gap=0.1) == [], "unless a gap is asked for"


def test_all_keeps_every_score_with_its_rank_and_thumb() -> None:
    (group,) = selected(_scored(1.0, None, 3.0, 1.0), [True] * 4, RoundsSettings(select="all", at_least=2.0))
    assert [r.text for r in group.responses] == ["a", "c", "d"]
    assert group.said(Scores)[0].values == {"overall": (1.0, 3.0, 1.0)}
    assert group.said(Ranking)[0].ranks == (2, 1, 2)
    assert group.said(Labels)[0].values == (False, True, False)
    assert selected(_scored(1.0, 1.0), [True] * 2, RoundsSettings(select="all")) == []
