"""What a round measures of a side, and what it refuses to call a comparison."""

from __future__ import annotations

from typing import Any

import pytest
from common.comparison import Side
from common.groups import Group, lengths
from common.rounds import _agree, _check, _figures
from dpo import DPO

BATCHES = [lengths([Group([5, 6], [[7], [8, 9]])])] * 3  # 7 tokens once, 9 with the prompt copied
SIDES = {
    "truing": Side("Truing", "sides.truing_train", tokens="once"),
    "trl": Side("TRL", "sides.trl_dpo"),
    "packed": Side("TRL, packed", "sides.trl_sft", tokens="own"),
}


def _result(*tokens: float, loss: float = 0.693147) -> dict[str, Any]:
    return {
        "cpu_steps": [9.0, 2.0, 4.0],
        "cpu_process": 20.0,
        "peak_megabytes": 1000.0,
        "megabytes_imports": 400.0,
        "gemm_rates": {"torch.mm": 5.0, "oneDNN": 10.0},
        "steps": [{"tokens": n, "loss": loss, "grad_norm": 1.0} for n in tokens],
    }


def test_each_side_must_have_seen_the_tokens_that_were_written() -> None:
    _check("truing", SIDES["truing"], _result(7, 7, 7), BATCHES)
    _check("trl", SIDES["trl"], _result(9, 9, 9), BATCHES)
    with pytest.raises(SystemExit, match=r"trl saw \[9, 8, 9\] tokens at its steps, and \[9, 9, 9\] were written"):
        _check("trl", SIDES["trl"], _result(9, 8, 9), BATCHES)


def test_batches_of_its_own_are_checked_by_their_sum() -> None:
    _check("packed", SIDES["packed"], _result(20, 7), BATCHES)
    with pytest.raises(SystemExit, match=r"saw \[26\]"):
        _check("packed", SIDES["packed"], _result(20, 6), BATCHES)
    with pytest.raises(SystemExit, match="more --steps"):
        _check("packed", SIDES["packed"], _result(27), BATCHES)


def test_the_first_step_warms_up_and_the_faster_library_is_the_limit() -> None:
    found = _figures(DPO, SIDES["trl"], _result(9, 9, 9), _tiny(), BATCHES)
    assert found["cpu_step"] == 3
    assert found["cpu_token"] == (2 + 4) / (9 + 9)
    assert found["useful_tokens_per_second"] == (9 / 2 + 9 / 4) / 2
    assert found["megabytes_training"] == 600
    # 4 passes of 2·138 operations a token, 2·14 a trained one, 4·2·3 a (query, key) pair
    products = 4 * (276 * 7 + 28 * 5 + 24 * 22)
    assert found["share_of_limit"] == pytest.approx((products / 10 / 2 + products / 10 / 4) / 2)


def test_another_precision_and_other_batches_have_no_limit() -> None:
    half = Side("TRL, bfloat16", "sides.trl_dpo", float32=False)
    assert _figures(DPO, half, _result(9, 9, 9), _tiny(), BATCHES)["share_of_limit"] is None
    assert _figures(DPO, SIDES["packed"], _result(9, 9, 9), _tiny(), BATCHES)["share_of_limit"] is None


def test_another_first_loss_is_other_work() -> None:
    def found(side: str, loss: float) -> dict[str, Any]:
        return {"truing": {"loss": [0.69315]}, side: {"loss": [loss]}}

    _agree(DPO, found("trl", 0.69316))
    with pytest.raises(SystemExit, match="trl starts at a loss of 0.6934, Truing at 0.69315"):
        _agree(DPO, found("trl", 0.6934))
    with pytest.raises(SystemExit, match="trl starts at a loss of 0.6, and it is 0.693"):
        _agree(DPO, found("trl", 0.6))


def _tiny() -> Any:
    from common.models import Size

    return Size(hidden=2, layers=3, heads=1, key_heads=1, inner=5, vocabulary=7, head_width=2)
