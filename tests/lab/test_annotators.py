"""Five people: near the judge, not quite of one mind."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from truing.lab import ANNOTATORS, Request, rank, requests, utility
from truing.lab.answers import mixed_answer

TEA = Request("how", "make tea", "How do I make tea?")
GOOD = ("Sure! First, boil some water, then add the tea leaves, and finally wait three minutes.", True)
REFUSAL = ("Sorry, I will not help with that.", True)
RAMBLING = ("There are so many things to say here. " + GOOD[0] + " I could talk about this all day long.", True)


@pytest.fixture(scope="module")
def agreements() -> tuple[list[list[bool]], list[bool]]:
    """(per annotator: agrees with the judge, agrees with another annotator) on pairs among 4 mixed answers."""
    rng = Random(0)
    with_judge: list[list[bool]] = [[] for _ in ANNOTATORS]
    with_other: list[bool] = []
    for request in rng.choices(requests("train"), k=2000):
        answers = [(mixed_answer(request, rng), True) for _ in range(4)]
        scores = [utility(request, *a) for a in answers]
        one, two = rng.sample(range(5), 2)
        mine = rank(request, answers, one, rng).pairs()
        theirs = set(rank(request, answers, two, rng).pairs())
        with_judge[one] += [scores[i] > scores[j] for i, j in mine if scores[i] != scores[j]]
        with_other += [(i, j) in theirs for i, j in mine if (i, j) in theirs or (j, i) in theirs]
    return with_judge, with_other


def test_annotators_agree_with_the_judge_on_85_percent_of_pairs(
    agreements: tuple[list[list[bool]], list[bool]],
) -> None:
    # 88 % on samples of an SFT model, whose good and bad answers differ more
    assert 0.83 < fmean(x for row in agreements[0] for x in row) < 0.87


def test_annotators_agree_among_themselves_on_78_percent(agreements: tuple[list[list[bool]], list[bool]]) -> None:
    # 82 % on samples of an SFT model
    assert 0.76 < fmean(agreements[1]) < 0.80


def test_the_wordy_and_the_careless_one_agree_least(agreements: tuple[list[list[bool]], list[bool]]) -> None:
    rates = [fmean(row) for row in agreements[0]]
    assert set(sorted(range(5), key=lambda i: rates[i])[:2]) == {3, 4}
    assert all(rate > 0.7 for rate in rates)


def test_the_same_answer_twice_is_always_a_tie() -> None:
    for seed in range(50):
        ranking = rank(TEA, [GOOD, REFUSAL, GOOD], seed % 5, Random(seed))
        assert ranking.ranks[0] == ranking.ranks[2] != ranking.ranks[1]


def test_a_gap_below_a_quarter_is_a_tie() -> None:
    longer = (GOOD[0] + " so" * 9, True)  # 24 words: 0.16 below for the judge, less than 0.25 for everyone
    assert len(GOOD[0].split()) + 9 == 24
    assert all(rank(TEA, [GOOD, longer], a, Random(s)).pairs() == [] for a in range(5) for s in range(20))


def test_who_likes_length_prefers_rambling_and_nobody_else_does() -> None:
    preferred = [sum(rank(TEA, [GOOD, RAMBLING], a, Random(s)).ranks == (2, 1) for s in range(300)) for a in range(5)]
    assert preferred[3] > 150 > max(preferred[:3] + preferred[4:])


def test_the_careless_one_errs_where_others_do_not() -> None:
    wrong = [sum((1, 0) in rank(TEA, [GOOD, REFUSAL], a, Random(s)).pairs() for s in range(1000)) for a in range(5)]
    assert max(wrong[:4]) < 40
    assert wrong[4] == pytest.approx(125, abs=40)  # a quarter at random, half of those wrong


def test_a_ranking_names_its_annotator_and_follows_its_seed() -> None:
    ranking = rank(TEA, [GOOD, REFUSAL], 2, Random(0))
    assert ranking.annotator_id == "annotator-2"
    assert ranking == rank(TEA, [GOOD, REFUSAL], 2, Random(0))
