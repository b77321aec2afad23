from __future__ import annotations

import itertools
import random
import statistics

import pytest

from truing.evaluate.reasoning import Solved, checks_itself, majority_at_k, pass_at_k, reasoning


def responses(answers: str, right: str = "a") -> list[Solved]:
    """One response for each letter; `-` comes to no answer."""
    return [Solved(letter == right, None if letter == "-" else letter) for letter in answers]


def test_one_right_of_four_is_among_two_of_them_half_of_the_time() -> None:
    assert pass_at_k(4, 1, 2) == pytest.approx(1 - 3 / 6)  # 3 of the 6 pairs leave it out
    assert pass_at_k(4, 1, 1) == pytest.approx(1 / 4)
    assert pass_at_k(4, 3, 2) == 1
    assert pass_at_k(4, 0, 4) == 0


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_is_the_mean_over_all_subsets(k: int) -> None:
    for right in range(7):
        samples = [i < right for i in range(6)]
        subsets = list(itertools.combinations(samples, k))
        assert pass_at_k(6, right, k) == pytest.approx(statistics.fmean(any(s) for s in subsets))


def test_pass_at_k_has_no_bias_where_the_plain_estimate_has() -> None:
    # Right with probability 0.2: 1 - 0.8^4 = 0.5904. Of 8 samples 1 - (1 - c/n)^4 gives less, on average.
    rng = random.Random(0)
    counts = [sum(rng.random() < 0.2 for _ in range(8)) for _ in range(20_000)]
    assert statistics.fmean(pass_at_k(8, c, 4) for c in counts) == pytest.approx(0.5904, abs=0.01)
    assert statistics.fmean(1 - (1 - c / 8) ** 4 for c in counts) < 0.56


def test_the_most_frequent_answer_is_elected() -> None:
    assert majority_at_k(responses("aab"), 3) == 1
    assert majority_at_k(responses("abb"), 3) == 0


def test_equally_frequent_answers_share_the_chance() -> None:
    assert majority_at_k(responses("abcd"), 4) == pytest.approx(1 / 4)
    assert majority_at_k(responses("bbaa"), 4) == pytest.approx(1 / 2)


def test_who_comes_to_no_answer_has_no_vote() -> None:
    assert majority_at_k(responses("a---"), 4) == 1
    assert majority_at_k(responses("----"), 4) == 0


def test_blocks_do_not_overlap_and_what_is_left_over_does_not_count() -> None:
    assert majority_at_k(responses("aab" + "bba" + "aa"), 3) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 8. Wait, 3 + 4 = 7.", "Let me check: 7 - 4 = 3.", "Let's verify this.", "I should double-check.",
        "Hold on.", "That's 8. That can't be right.", "Checking this again: 7.", "To verify, add 3.",
    ],
)  # fmt: skip
def test_phrases_of_looking_again_are_found(text: str) -> None:
    assert checks_itself(text)


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7. The answer is 7.",
        "He pays by check.",
        "She is a waiter.",
        "The waiting room has 7 seats.",
        "Awaits.",
    ],
)
def test_other_uses_of_the_words_are_not(text: str) -> None:
    assert not checks_itself(text)


def test_the_numbers_of_two_problems() -> None:
    solved = [Solved(True, "7", "3 + 4 = 7"), Solved(True, "7", "Wait, 7"), Solved(False, "8"), Solved(False, None)]
    unsolved = responses("bcde")
    found = reasoning([solved, unsolved])
    assert found == {
        "accuracy": pytest.approx(1 / 4),
        "answered": pytest.approx(7 / 8),
        "self_check": pytest.approx(1 / 8),
        "pass@2": pytest.approx((1 - 1 / 6) / 2),
        "pass@4": pytest.approx(1 / 2),
        "majority@4": pytest.approx(1 / 2),
    }


def test_one_response_each_has_an_accuracy_and_no_k() -> None:
    assert set(reasoning([responses("a"), responses("b")])) == {"accuracy", "answered", "self_check"}
    assert reasoning([]) == {}
