import math

import pytest
import torch

from truing.gaps import Gaps

ONES = torch.ones(2, 2, dtype=torch.bool)


def streams(
    sampled: list[list[float]], old: list[list[float]] | None = None, mask: torch.Tensor = ONES
) -> dict[str, torch.Tensor]:
    zeros = torch.zeros(2, 2, requires_grad=True)
    out = {"logprobs": zeros, "sampled_logprobs": torch.tensor(sampled), "mask": mask}
    return out if old is None else out | {"old_logprobs": torch.tensor(old)}


def test_the_effective_share_by_hand() -> None:
    # weights of whole responses: exp(log 3) = 3 and 1: (3 + 1)² / (2 · (9 + 1)) = 0.8
    gaps = Gaps()
    gaps.add(streams([[-math.log(3), 0.0], [0.0, 0.0]]))
    found = gaps.metrics()
    assert found["sampling/effective"] == pytest.approx(0.8)
    assert found["sampling/difference"] == pytest.approx(math.log(3) / 4)
    assert found["sampling/largest"] == pytest.approx(math.log(3))
    assert "ratio/first_error" not in found


def test_where_sampler_and_trainer_agree_all_samples_count() -> None:
    gaps = Gaps()
    gaps.add(streams([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]))
    assert gaps.metrics() == {
        "ratio/first_error": 0.0, "sampling/difference": 0.0, "sampling/largest": 0.0, "sampling/effective": 1.0
    }  # fmt: skip


def test_micro_batches_add_up_to_the_batch() -> None:
    whole, parts = Gaps(), Gaps()
    made = streams([[-0.5, 0.1], [0.3, 0.0]], [[0.1, 0.0], [0.0, -0.2]])
    whole.add(made)
    for row in range(2):
        parts.add({n: s[row : row + 1] for n, s in made.items()})
    assert parts.metrics() == pytest.approx(whole.metrics())


def test_the_first_error_is_the_largest_in_either_direction() -> None:
    # ratios 0.8 and 1.1: written as how far from 1 the larger of ρ and 1/ρ is
    gaps = Gaps()
    gaps.add(streams([[0.0, 0.0], [0.0, 0.0]], [[-math.log(0.8), 0.0], [-math.log(1.1), 0.0]]))
    assert gaps.metrics()["ratio/first_error"] == pytest.approx(0.25, rel=1e-5)


def test_masked_tokens_are_nobodys_business() -> None:
    gaps = Gaps()
    gaps.add(
        streams([[0.0, 99.0], [-99.0, 99.0]], [[0.0, 99.0], [9.0, 9.0]], torch.tensor([[True, False], [False, False]]))
    )
    assert gaps.metrics() == {
        "ratio/first_error": 0.0, "sampling/difference": 0.0, "sampling/largest": 0.0, "sampling/effective": 1.0
    }  # fmt: skip
    empty = Gaps()
    empty.add(streams([[0.0, 0.0], [0.0, 0.0]], mask=torch.zeros(2, 2, dtype=torch.bool)))
    assert empty.metrics() == {}
