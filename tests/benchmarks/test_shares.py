"""Which part of a step an event of the profiler belongs to."""

from __future__ import annotations

import pytest
from common.shares import PARTS, part


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mkldnn::_linear_pointwise", "_Linear"], "products of the layers"),
        (
            ["aten::mm", "_LogprobsBackward", "autograd::engine::evaluate_function"],
            "vocabulary (head, log-probabilities)",
        ),
        (["aten::bmm", "_TreeAttention"], "attention"),
        (["aten::bmm", "_TreeAttention", "sampling"], "sampling"),  # whatever it is inside of, outermost first
        (["aten::silu"], "element-wise, norms, sums"),
        (["aten::copy_"], "copies, zeros, gathering"),
        (["aten::add_", "Optimizer.step#AdamW.step"], "optimizer"),
        (["autograd::engine::evaluate_function"], None),
    ],
)
def test_an_event_belongs_to_what_it_happened_in_or_else_to_its_kind(names: list[str], expected: str | None) -> None:
    assert part(names) == expected
    assert expected is None or expected in PARTS
