from __future__ import annotations

from dataclasses import replace

import pytest
from common.models import SIZES
from common.rollouts import floor, make_prompts

TOY = replace(SIZES["toy"], layers=1)


def test_the_least_work_of_two_responses_to_a_prompt_by_hand() -> None:
    body, head = TOY.body_weights, TOY.head_weights
    # The prompt of 3 tokens with one look at the vocabulary; then a step of two rows, and one of one row. Attention:
    # 4 x 16 x 2 operations for a query and key; the prompt has 6 such pairs, two rows of age 1 see 2 x 4, one sees 5.
    operations = 2 * body * (3 + 2 + 1) + 2 * head * (1 + 2 + 1) + 4 * 16 * 2 * (6 + 8 + 5)
    assert floor(TOY, [3], [[2, 3]], 1.0, 1e30).products == operations
    # With slow memory each of the three reads all weights; a step reads the prompt once and each row's own tokens.
    cached = 4 * 2 * 1 * 16
    read = 3 * 4 * (body + head) + cached * ((3 + 2) + (3 + 2))
    assert floor(TOY, [3], [[2, 3]], 1e30, 1.0).roofline == pytest.approx(read)


def test_the_roofline_is_never_below_the_products() -> None:
    least = floor(TOY, [3, 9], [[2, 3], [1, 7]], 2e11, 2e10)
    assert 0 < least.products < least.roofline


def test_prompts_are_the_same_for_the_same_seed_and_hold_no_special_token() -> None:
    prompts = make_prompts(20, 300, seed=1)
    assert prompts == make_prompts(20, 300, seed=1) != make_prompts(20, 300, seed=2)
    assert all(8 <= len(p) <= 512 and min(p) >= 3 for p in prompts)
