"""Calculations are worked out as Python would."""

from __future__ import annotations

from random import Random

import pytest

from truing.lab.calculation import Step, chain, equations, is_calculation


def test_a_chain_has_one_step_per_operation() -> None:
    assert list(map(str, chain("7 + 5 - 3"))) == ["7 + 5 = 12.", "12 - 3 = 9."]


def test_chains_agree_with_python_on_1000_random_calculations() -> None:
    rng = Random(0)
    for _ in range(1000):
        text = str(rng.randint(0, 99)) + "".join(f" {rng.choice('+-')} {rng.randint(0, 99)}" for _ in range(3))
        assert chain(text)[-1].result == eval(text)


def test_every_step_of_a_chain_is_correct() -> None:
    assert all(step.is_correct for step in chain("2 + 12 + 12 - 1"))


@pytest.mark.parametrize(
    "text", ["", "7", "7+5", "7 + ", "7 * 5", "__import__('os')", "7 + 5\n", "1 - -2", "7 + 1234567"]
)
def test_what_is_no_calculation_is_not_taken_for_one(text: str) -> None:
    assert not is_calculation(text)


def test_claimed_equations_are_found_right_or_wrong() -> None:
    found = equations("4 + 3 = 7. 7 - 2 = 6. The answer is 6.")
    assert found == [Step(4, "+", 3, 7), Step(7, "-", 2, 6)]
    assert [step.is_correct for step in found] == [True, False]


def test_a_longer_sum_is_not_read_as_its_last_two_numbers() -> None:
    assert equations("1 + 2 + 3 = 6") == []
