from __future__ import annotations

from pathlib import Path

from common.limit import forward, preference_step
from common.models import SIZES, Size, write_model
from common.pairs import Lengths

TINY = Size(hidden=2, layers=3, heads=1, key_heads=1, inner=5, vocabulary=7, head_width=2)


def test_a_forward_pass_is_two_operations_per_weight_and_token_and_four_per_attended_number() -> None:
    # one layer: q, k, v, o of 2x2 and three matrices of 2x5
    assert TINY.body_weights == 3 * (4 * 4 + 3 * 10)
    assert forward(TINY, tokens=1, predicted=0, seen=0) == 2 * 138
    assert forward(TINY, tokens=0, predicted=1, seen=0) == 2 * 14
    assert forward(TINY, tokens=0, predicted=0, seen=10) == 4 * 2 * 3 * 10


def test_a_step_is_four_forward_passes_with_a_reference_and_three_without() -> None:
    batch = Lengths(pairs=1, prompt=2, response=1.5, once=5, useful=7, trained=3, seen=11)
    once = forward(TINY, 5, 3, 11)
    assert preference_step(TINY, batch) == 4 * once
    assert preference_step(TINY, batch, reference=False) == 3 * once


def test_the_weights_are_counted_as_the_model_has_them(tmp_path: Path) -> None:
    from truing.models.loading import load_causal_lm

    write_model(SIZES["toy"], tmp_path)
    model = load_causal_lm(tmp_path)
    matrices = {name: p.numel() for name, p in model.named_parameters() if p.ndim == 2}
    assert matrices.pop("model.embed_tokens.weight") == SIZES["toy"].head_weights
    assert sum(matrices.values()) == SIZES["toy"].body_weights
