import math
from typing import Any

import pytest
import torch

from truing.objectives.process_reward import process_reward
from truing.reduce import Term, weigh

NAN = math.nan


def of(scores: list[float], labels: list[float], **settings: Any) -> Term:
    rewards = torch.tensor([scores], dtype=torch.float64)
    said = torch.tensor([labels], dtype=torch.float64)
    return process_reward(rewards, said, torch.ones(1, len(scores), dtype=torch.bool), **settings)


def test_a_head_that_says_nothing_costs_log_2_a_step() -> None:
    term = of([0.0, 0.0, 0.0], [1.0, NAN, 0.0])
    assert term.values[term.mask].tolist() == pytest.approx([math.log(2)] * 2)


def test_a_score_of_log_3_is_a_probability_of_three_quarters() -> None:
    right, wrong = of([math.log(3)] * 2, [1.0, 0.0]).values[0].tolist()
    assert right == pytest.approx(math.log(4 / 3))
    assert wrong == pytest.approx(math.log(4))
    assert of([math.log(3)], [1.0]).metrics["steps/probability"].item() == pytest.approx(0.75)


def test_a_soft_label_is_met_where_the_probability_is_the_label() -> None:
    score = torch.tensor([[math.log(3)]], dtype=torch.float64, requires_grad=True)
    process_reward(score, torch.tensor([[0.75]]), torch.ones(1, 1, dtype=torch.bool)).values.sum().backward()
    assert score.grad is not None
    assert score.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_the_gradient_at_a_step_is_probability_minus_label_and_elsewhere_zero() -> None:
    scores = torch.tensor([[0.0, 5.0, math.log(3)]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1.0, NAN, 0.0]], dtype=torch.float64)
    term = process_reward(scores, labels, torch.ones(1, 3, dtype=torch.bool))
    term.values.sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist()[0] == pytest.approx([-0.5, 0.0, 0.75])


def test_a_neutral_step_is_as_right_as_the_setting_says() -> None:
    assert of([0.0], [0.5]).metrics["steps/right"].item() == 0.5
    assert of([math.log(3)], [0.5], neutral=1.0).values.item() == pytest.approx(math.log(4 / 3))
    assert of([math.log(3)], [0.5], neutral=0.0).values.item() == pytest.approx(math.log(4))


def test_steps_that_nobody_judged_and_masked_ones_do_not_count() -> None:
    labels = torch.tensor([[1.0, NAN, 0.0]])
    mask = torch.tensor([[True, True, False]])
    assert process_reward(torch.zeros(1, 3), labels, mask).mask.tolist() == [[True, False, False]]


def test_the_token_reduction_is_the_mean_over_judged_steps() -> None:
    term = of([0.0, 0.0, math.log(3)], [1.0, NAN, 0.0])
    weighing = weigh(term.mask, torch.tensor([0]), "token")
    assert weighing.count == 2
    assert (weighing.weights * term.values).sum().item() == pytest.approx(math.log(2) + math.log(4))


def test_accuracy_is_the_side_of_one_half() -> None:
    assert of([1.0, -1.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0]).metrics["steps/accuracies"].tolist() == [[1, 0, 0, 1]]
