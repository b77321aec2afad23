from __future__ import annotations

import math

import pytest

from truing.objectives.dpo import dpo
from truing.objectives.dpo_norm import dpo_norm

from .of_two import of_two


def test_log_ratios_are_averaged_over_tokens() -> None:
    found = of_two(dpo_norm, [1.0, 3.0], [1.0], beta=1.0)  # 2 - 1
    assert found.loss == pytest.approx(math.log(1 + math.exp(-1)))
    pull = 1 / (1 + math.e)
    assert found.chosen == pytest.approx([-pull / 2, -pull / 2])
    assert found.rejected == pytest.approx([pull])


def test_responses_of_one_token_are_those_of_dpo() -> None:
    settings = {"beta": 0.3, "label_smoothing": 0.1, "strength": 0.8}
    assert of_two(dpo_norm, [0.4], [-0.3], **settings).loss == of_two(dpo, [0.4], [-0.3], **settings).loss
