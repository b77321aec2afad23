from __future__ import annotations

from pathlib import Path

from common.groups import Lengths
from common.limit import forward, step
from common.models import SIZES, Size, write_model

TINY = Size(hidden=2, layers=3, heads=1, key_heads=1, inner=5, vocabulary=7, head_width=2)


def test_a_forward_pass_is_two_operations_per_weight_and_token_and_four_per_attended_number() -> None:
    # one layer: q, k, v, o of 2x2 and three matrices of 2x5
    assert TINY.body_weights == 3 * (4 * 4 + 3 * 10)
    assert forward(TINY, tokens=1, predicted=0, seen=0) == 2 * 138
    assert forward(TINY, tokens=0, predicted=1, seen=0) == 2 * 14
    assert forward(TINY, tokens=0, predicted=0, seen=10) == 4 * 2 * 3 * 10


def test_a_step_is_three_forward_passes_and_a_fourth_for_a_reference() -> None:
    batch = Lengths(groups=1, prompt=2, response=1.5, once=5, useful=7, trained=3, seen=11, copied=14)
    once = forward(TINY, 5, 3, 11)
    assert step(TINY, batch, passes=4) == 4 * once
    assert step(TINY, batch, passes=3) == 3 * once
    assert step(TINY, batch, passes=3, copied=True) == 3 * forward(TINY, 7, 3, 14)


def test_a_reward_model_has_no_vocabulary_to_multiply_with() -> None:
    batch = Lengths(groups=1, prompt=2, response=1.5, once=5, useful=7, trained=3, seen=11, copied=14)
    assert step(TINY, batch, passes=3, head=False) == 3 * forward(TINY, 5, 0, 11)


def test_the_weights_are_counted_as_the_model_has_them(tmp_path: Path) -> None:
    from truing.models.loading import load_causal_lm

    write_model(SIZES["toy"], tmp_path)
    model = load_causal_lm(tmp_path)
    matrices = {name: p.numel() for name, p in model.named_parameters() if p.ndim == 2}
    assert matrices.pop("model.embed_tokens.weight") == SIZES["toy"].head_weights
    assert sum(matrices.values()) == SIZES["toy"].body_weights
