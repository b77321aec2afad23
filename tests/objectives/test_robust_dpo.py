from __future__ import annotations

import math

import pytest

from truing.objectives.dpo import dpo
from truing.objectives.robust_dpo import robust_dpo

from .of_two import of_two


def test_averaged_over_flipped_labels_it_is_the_loss_of_the_clean_ones() -> None:
    right = of_two(robust_dpo, [0.7], [-0.4], beta=1.0, label_smoothing=0.2)
    flipped = of_two(robust_dpo, [-0.4], [0.7], beta=1.0, label_smoothing=0.2)
    clean = of_two(dpo, [0.7], [-0.4], beta=1.0)
    assert 0.8 * right.loss + 0.2 * flipped.loss == pytest.approx(clean.loss)
    assert 0.8 * right.chosen[0] + 0.2 * flipped.rejected[0] == pytest.approx(clean.chosen[0])


def test_a_quarter_of_wrong_labels_doubles_the_pull_at_the_reference() -> None:
    # (0.75 · (-1/2) - 0.25 · (1/2)) / 0.5 = -1 instead of -1/2.
    found = of_two(robust_dpo, [0.0], [0.0], beta=1.0, label_smoothing=0.25)
    assert found.loss == pytest.approx(math.log(2))
    assert found.chosen == pytest.approx([-1.0])
    assert found.rejected == pytest.approx([1.0])


def test_the_loss_of_a_pair_may_be_negative() -> None:
    # 1.5 · log(1 + e^-4) - 0.5 · log(1 + e^4)
    found = of_two(robust_dpo, [4.0], [0.0], beta=1.0, label_smoothing=0.25)
    assert found.loss == pytest.approx(1.5 * 0.018150 - 0.5 * 4.018150, abs=1e-5)


def test_a_label_as_sure_as_labels_are_right_is_a_certain_one_flipped_in_expectation() -> None:
    # strength 0.8 is the mean of sure labels, 0.8 of them right: with ε = 0.2 the loss of the clean label.
    found = of_two(robust_dpo, [0.7], [-0.4], beta=1.0, label_smoothing=0.2, strength=0.8)
    assert found.loss == pytest.approx(of_two(dpo, [0.7], [-0.4], beta=1.0).loss)
