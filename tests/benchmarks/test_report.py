from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from common.groups import Group, lengths
from common.report import report, table, write
from dpo import DPO

OPTIONS = Namespace(by_length=False, batch=None, steps=2, rounds=2, threads=1, sides=["truing", "trl"])


def _run(seconds: float, megabytes: float, loss: float = 0.69) -> dict[str, Any]:
    return {
        "cpu_step": seconds,
        "cpu_token": seconds / 9,
        "cpu_process": 3 * seconds,
        "cpu_imports": 1.0,
        "cpu_loading": 0.5,
        "cpu_saving": 0.25,
        "peak_megabytes": megabytes,
        "megabytes_training": megabytes - 400,
        "useful_tokens_per_second": 9 / seconds,
        "share_of_limit": 0.5 / seconds,
        "gemm_rates": {"torch.mm": 5e9, "oneDNN": 1e10},
        "loss": [loss, loss],
        "grad_norm": [2.0, 2.0],
    }


def _made() -> dict[str, Any]:
    data = lengths([Group([5, 6], [[7], [8, 9]])])
    rounds = [
        {"truing": _run(1, 500), "trl": _run(4, 1000), "data": data},
        {"truing": _run(2, 500), "trl": _run(6, 900, loss=0.69069), "data": data},
    ]
    return report(DPO, "toy", OPTIONS, rounds)


def test_ratios_are_taken_within_a_round() -> None:
    *_, peer, _, _ = table(DPO, _made()).splitlines()
    cells = [cell.strip() for cell in peer.split("|")[1:-1]]
    # 4 / 1 and 6 / 2, and not 5 / 1.5
    assert cells[7:11] == ["3.50x (3.00-4.00)", "3.50x (3.00-4.00)", "1.90x (1.80-2.00)", "5.50x (5.00-6.00)"]
    assert cells[1] == "5.00 (4.00-6.00)"
    assert cells[3] == "1.0, 0.5, 0.2"


def test_losses_are_compared_step_by_step() -> None:
    off = _made()["agreement"]["trl"]
    assert off["loss/all"] == off["loss/first"] == pytest.approx(0.001)
    assert off["grad_norm/all"] == 0


def test_what_the_data_is_like_is_published(tmp_path: Path) -> None:
    made = _made()
    assert made["data"]["prompt tokens P"] == 2
    assert made["data"]["response tokens R"] == 2.5
    assert made["data"]["copied/tokens"] == pytest.approx(9 / 7)
    text = write(DPO, made, tmp_path, "dpo-toy")
    assert "V = 256, P = 2, R = 2, K = 2 (prompts copied: 1.29x the tokens" in text
    assert "5 GFLOP/s (torch.mm), 10 GFLOP/s (oneDNN)" in text
    assert (tmp_path / "dpo-toy.md").read_text() == text
