"""Word problems: their splits, their solutions and the check."""

from __future__ import annotations

import re
from random import Random

import pytest

from truing.errors import UserError
from truing.lab import Request, math_reward, word_problems
from truing.lab.arithmetic import final_number, solution
from truing.lab.calculation import equations

SHELLS = Request("arithmetic", "7 + 5 - 3", "Ana has 7 shells. Ana finds 5 more, then loses 3. How many shells now?")


def test_the_story_tells_the_calculation() -> None:
    for problem in word_problems("train", 500):
        start, *numbers = map(int, re.findall(r"\d+", problem.text))
        gains = [
            bool(re.match("buys|finds|gets", verb)) for verb in re.findall(r"(\w+(?: away)?) \d+", problem.text)[1:]
        ]
        told = str(start) + "".join(f" {'+' if g else '-'} {n}" for g, n in zip(gains, numbers, strict=True))
        assert told == problem.item


def test_answers_are_those_of_python_and_stay_between_1_and_42() -> None:
    for problem in word_problems("test", 1000):
        assert problem.answer == eval(problem.item)
        assert 1 <= problem.answer <= 42
        assert len(equations(solution(problem, "chain", Random(0)))) in (2, 3)


def test_the_splits_of_word_problems_have_no_story_in_common() -> None:
    texts = [{p.text for p in word_problems(split, 1500, seed=4)} for split in ("train", "dev", "test")]
    assert [len(t) for t in texts] == [1500, 1500, 1500]
    assert len(set.union(*texts)) == 4500


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    assert word_problems("dev", 50, 1) == word_problems("dev", 50, 1) != word_problems("dev", 50, 2)
    assert word_problems("dev", 1)[0].text == FIRST_DEV_PROBLEM


FIRST_DEV_PROBLEM = "Tom has 12 coins. Tom gets 5 more, then finds 12 more. How many coins now?"


def test_new_has_no_word_problems() -> None:
    with pytest.raises(UserError, match="'new'"):
        word_problems("new", 1)


def test_a_direct_solution_says_the_result_alone() -> None:
    assert solution(SHELLS, "direct", Random(0)) == "The answer is 9."


def test_a_chain_says_every_step() -> None:
    assert solution(SHELLS, "chain", Random(0)) == "7 + 5 = 12. 12 - 3 = 9. The answer is 9."


def test_one_step_in_four_of_sloppy_chains_is_wrong_and_the_result_follows_from_it() -> None:
    rng, steps = Random(0), []
    for _ in range(2000):
        text = solution(SHELLS, "sloppy", rng)
        written = equations(text)
        assert written[1].left == written[0].result
        assert final_number(text) == written[1].result
        steps += written
    assert sum(not step.is_correct for step in steps) / len(steps) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("The answer is 9.", 1.0),
        ("7 + 5 = 99. The answer is 9.", 1.0),
        ("The answer is 4. No: The answer is 9.", 1.0),
        ("The answer is 9. The answer is 4.", 0.0),
        ("The answer is 90.", 0.0),
        ("The answer is 9", 0.0),
        ("The answer is " + "9" * 5000 + ".", 0.0),
        ("9", 0.0),
        ("", 0.0),
    ],
)
def test_only_the_last_final_number_is_rewarded(text: str, reward: float) -> None:
    assert math_reward(SHELLS, text) == reward
