"""Several annotators as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from truing import feedback
from truing.errors import DataError
from truing.feedback.merge import METHODS, merge, pooled, together
from truing.group import Critique, Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels


def group(texts: str, *said: Feedback, **columns: object) -> Group:
    return Group(Prompt.of("Which?"), tuple(Response.of(t) for t in texts), said, columns)


def located(*groups: Group) -> list[tuple[str, Group]]:
    return [(f"f:{line}", each) for line, each in enumerate(groups, 1)]


def merged(method: str, *said: Feedback, texts: str = "ab") -> tuple[Feedback, ...]:
    ((_, made),) = merge(located(group(texts, *said)), method).groups
    return made.feedback


def pair(winner: int, who: str, strength: float | None = None) -> Ranking:
    return Ranking([(1, 1), (1, 2), (2, 1)][winner], strength, annotator_id=who)


# ---- rows that belong together ----


def test_rows_about_the_same_responses_come_together_in_the_order_of_the_first() -> None:
    rows = located(
        group("abc", Ranking((1, 2, None)), id=1, topic="x"),
        group("bca", Scores({"overall": (5.0, 4.0, 3.0)}), Labels((True, False, None)), id=2, topic="x"),
        group("ab", Ranking((1, 2))),
        group("cab", Critique(("C", None, "B"), (None, Response.of("A"), None)), topic="x", id=1),
    )
    first, other = together(rows)
    assert first[0] == "f:1"
    assert first[1].feedback == (
        Ranking((1, 2, None)),
        Scores({"overall": (3.0, 5.0, 4.0)}),
        Labels((None, True, False)),
        Critique((None, "B", "C"), (Response.of("A"), None, None)),
    )
    assert first[1].columns == {"topic": "x"}
    assert other == rows[2]


def test_a_response_that_stands_twice_keeps_both_places() -> None:
    ((_, made),) = together(located(group("aab", Ranking((1, 2, 3))), group("aba", Ranking((1, 3, 2)))))
    assert made.feedback == (Ranking((1, 2, 3)), Ranking((1, 2, 3)))


def test_single_judged_responses_to_a_prompt_become_one_group() -> None:
    rows = located(
        group("a", Labels((True,), "x")),
        Group(Prompt.of("Other?"), (Response.of("a"),), (Labels((False,)),)),
        group("b", Labels((False,), "x")),
        group("c", Scores({"overall": (3.0,)}, annotator_id="x")),
    )
    (_, made), (_, alone) = pooled(rows)
    assert [r.text for r in made.responses] == ["a", "b", "c"]
    assert made.feedback == (
        Labels((True, False, None), "x"),
        Scores({"overall": (None, None, 3.0)}, annotator_id="x"),
    )
    assert alone.feedback == (Labels((False,)),)


# ---- majority and mean ----


def test_the_majority_of_three_wins_and_an_even_vote_ties() -> None:
    assert merged("majority", pair(1, "x"), pair(2, "y"), pair(2, "z")) == (Ranking((2, 1)),)
    assert merged("majority", pair(1, "x"), pair(2, "y")) == (Ranking((1, 1)),)
    assert merged("majority", pair(0, "x"), pair(0, "y"), pair(1, "z")) == (Ranking((1, 1)),)


def test_the_majority_of_rankings_is_by_pairwise_majorities() -> None:
    # a beats b in two of three, a beats c in all, b beats c in two: 2, 0 and -2 majorities.
    said = (Ranking((1, 2, 3)), Ranking((1, 3, 2)), Ranking((2, 1, 3)))
    assert merged("majority", *said, texts="abc") == (Ranking((1, 2, 3)),)
    assert merged("majority", Ranking((1, 2, None)), texts="abc") == (Ranking((1, 2, None)),)
    cycle = (Ranking((1, 2, 3)), Ranking((3, 1, 2)), Ranking((2, 3, 1)))
    assert merged("majority", *cycle, texts="abc") == (Ranking((1, 1, 1)),)


def test_the_majority_of_thumbs_and_of_steps_is_none_where_there_is_none() -> None:
    said = (Labels((True, True)), Labels((True, False)), Labels((False, None)))
    assert merged("majority", *said) == (Labels((True, None)),)
    steps = (StepLabels(((1, 1), (0,))), StepLabels(((1, -1), (0,))), StepLabels(((-1, None), (None,))))
    assert merged("majority", *steps) == (StepLabels(((1, None), (0,))),)


def test_the_mean_of_pairs_is_the_share_as_strength() -> None:
    assert merged("mean", pair(1, "x"), pair(1, "y"), pair(2, "z"), pair(1, "w")) == (Ranking((1, 2), 0.75),)
    # 0.2, 0.5 and 0.2: the second wins with 0.7.
    (made,) = merged("mean", pair(2, "x", 0.8), pair(0, "y"), pair(2, "z", 0.8))
    assert isinstance(made, Ranking)
    assert (made.ranks, made.strength) == ((2, 1), pytest.approx(0.7))
    assert merged("mean", pair(1, "x"), pair(2, "y")) == (Ranking((1, 1)),)
    assert merged("mean", Ranking((None, None))) == (Ranking((None, None)),)


def test_the_mean_of_scores_thumbs_and_rankings() -> None:
    scores = (Scores({"overall": (1.0, None)}, (1, 5)), Scores({"overall": (4.0, 2.0)}, (1, 5)))
    assert merged("mean", *scores) == (Scores({"overall": (2.5, 2.0)}, (1, 5)),)
    thumbs = (Labels((True, None)), Labels((True, None)), Labels((False, None)), Labels((True, None)))
    assert merged("mean", *thumbs) == (Scores({"thumbs": (0.75, None)}, (0.0, 1.0)),)
    # Two of three say right: a probability of 2/3, which is the mark 1/3.
    steps = (StepLabels(((1, 1), (0,))), StepLabels(((1, -1), (0,))), StepLabels(((1, 1), (None,))))
    assert merged("mean", *steps) == (StepLabels(((1, 2 * (2 / 3) - 1), (0,))),)
    # Mean ranks 4/3, 2 and 8/3.
    said = (Ranking((1, 2, 3)), Ranking((1, 3, 2)), Ranking((2, 1, 3)))
    assert merged("mean", *said, texts="abc") == (Ranking((1, 2, 3)),)


@pytest.mark.parametrize(
    ("method", "said", "found"),
    [
        ("majority", Scores({"overall": (1.0, 2.0)}), "scores have no majority"),
        ("majority", StepLabels(((0.5,), (1,))), "probabilities of steps have no majority"),
        ("dawid_skene", StepLabels(((0.5,), (1,)), "x"), "probabilities of steps are no labels"),
        ("dawid_skene", Ranking((1, 2)), "nothing says who judged it"),
        ("bradley_terry", Ranking((1, 2)), "nothing says who judged it"),
        ("bradley_terry", Labels((True, False), "x"), "Labels compare nothing"),
        ("bradley_terry", Ranking((1, None), annotator_id="x"), "nothing is compared"),
    ],
)
def test_what_a_method_cannot_merge_is_refused(method: str, said: Feedback, found: str) -> None:
    with pytest.raises(DataError, match=found):
        merged(method, said)


@pytest.mark.parametrize("method", METHODS)
def test_critiques_stay_as_they_are(method: str) -> None:
    said = (Critique(("rude", None)), pair(1, "x"))
    assert merged(method, *said)[0] == said[0]


# ---- models of annotators ----


TRUTH = [(1, 2) if number % 2 == 0 else (2, 1) for number in range(40)]


def crowd(lies: int) -> list[tuple[str, Group]]:
    """40 pairs; four annotators see what is better, the fifth says the contrary, so many times over."""
    rows = []
    for number in range(40):
        better = 1 + number % 2
        said = [pair(better, who) for who in "abcd"] + [pair(3 - better, "liar")] * lies
        rows += [Group(Prompt.of(str(number)), (Response.of("x"), Response.of("y")), (each,)) for each in said]
    return located(*rows)


@pytest.mark.parametrize(("method", "lies"), [("dawid_skene", 1), ("bradley_terry", 1), ("bradley_terry", 5)])
def test_a_liar_is_found_out(method: str, lies: int) -> None:
    made = merge(crowd(lies), method)
    assert [g.said(Ranking)[0].ranks for _, g in made.groups] == TRUTH
    assert all((g.said(Ranking)[0].strength or 0) > 0.7 for _, g in made.groups)
    assert made.reliability["liar"] < 0.25 < 0.8 < min(made.reliability[who] for who in "abcd")


def test_a_busy_liar_decides_the_majority() -> None:
    lied = [g.said(Ranking)[0].ranks for _, g in merge(crowd(5), "majority").groups]
    assert lied == [ranks[::-1] for ranks in TRUTH]


def test_dawid_skene_decides_thumbs_and_steps_and_leaves_what_nobody_judged() -> None:
    rows = [
        Group(Prompt.of(str(n)), (Response.of("x"), Response.of("z")), (Labels((bool(n % 2), None), who),))
        for n in range(10)
        for who in "abc"
    ]
    made = merge(located(*rows), "dawid_skene").groups
    assert [g.feedback for _, g in made] == [(Labels((bool(n % 2), None)),) for n in range(10)]
    steps = [group("x", StepLabels(((1, -1, None),), who)) for who in "abc"]
    ((_, one),) = merge(located(*steps), "dawid_skene").groups
    assert one.feedback == (StepLabels(((1, -1, None),)),)


def test_bradley_terry_orders_responses_that_were_compared_in_different_rows() -> None:
    rows = [group("ab", pair(1, w)) for w in "xyz"] + [group("bc", pair(1, w)) for w in "xyz"]
    rows += [group("abcd", Ranking((1, None, 3, None), annotator_id="x"))]
    made = dict(merge(located(*rows), "bradley_terry").groups)
    assert made["f:1"].feedback[0].ranks == (1, 2)  # type: ignore[union-attr]
    assert made["f:7"].feedback == (Ranking((1, None, 2, None)),)
    strengths = [made[where].said(Ranking)[0].strength for where in ("f:1", "f:4")]
    assert all(0.6 < (each or 0) < 1 for each in strengths)


def test_the_three_annotators_of_pandalm_agree_where_the_file_says_so(real_data: Path) -> None:
    path = real_data / "human_comparisons" / "pandalm_testset.jsonl.gz"
    rows = [(str(n), g) for n, g in enumerate(feedback.read(path))]
    voted = [group for _, group in merge(rows, "majority").groups]
    modelled = merge(rows, "dawid_skene")
    same = [
        v.said(Ranking)[0].ranks == m.said(Ranking)[0].ranks for v, (_, m) in zip(voted, modelled.groups, strict=True)
    ]
    assert sum(same) / len(same) > 0.97
    assert min(modelled.reliability.values()) > 0.9
