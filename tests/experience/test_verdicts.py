import pytest

from truing.experience.verdicts import verdicts

NAN = float("nan")
PAIRS = ("chosen", "rejected", "strength", "margin")


def test_the_best_is_put_against_the_worst() -> None:
    said = verdicts([0.5, 3.0, NAN, -1.0], PAIRS)
    assert said == {"pairs": [(1, 3)], "strength": [1.0], "margin": [4.0]}


def test_or_each_against_each_that_is_worth_less() -> None:
    said = verdicts([2.0, 1.0, 2.0, NAN], ["chosen"], pairs="all")
    assert said["pairs"] == [(0, 1), (2, 1)]
    assert said["margin"] == [1.0, 1.0]


def test_a_group_of_equals_has_no_pair() -> None:
    for how in ("best_worst", "all"):
        assert verdicts([1.0, 1.0], PAIRS, pairs=how)["pairs"] == []  # type: ignore[arg-type]
        assert verdicts([NAN, 1.0], PAIRS, pairs=how)["pairs"] == []  # type: ignore[arg-type]


def test_places_leave_room_for_ties_and_none_for_the_unrewarded() -> None:
    assert verdicts([1.0, 5.0, 1.0, NAN, 0.0], ["ranks"])["ranks"] == [2, 1, 2, 0, 4]


def test_labels_are_of_the_mean_of_the_group() -> None:
    assert verdicts([1.0, 2.0, 3.0, NAN], ["labels"])["labels"] == [0, -1, 1, -1]
    assert verdicts([0.1, 0.1, 0.1], ["labels"])["labels"] == [-1, -1, -1]


def test_all_that_share_the_highest_reward_are_demonstrations() -> None:
    assert verdicts([2.0, NAN, 2.0, 1.0], ["demonstrations"])["demonstrations"] == [True, False, True, False]
    assert verdicts([NAN], ["demonstrations"])["demonstrations"] == [False]


def test_scores_are_the_rewards_and_nobody_is_told_what_he_does_not_read() -> None:
    assert verdicts([1.0, 2.0], ["scores"]) == {"scores": [1.0, 2.0]}
    with pytest.raises(KeyError):
        verdicts([1.0, 2.0], ["logprobs"])["pairs"]
