import pytest
import torch
from torch import Tensor

from truing.reduce import REDUCTIONS, Term, weigh

# Two groups: rows of 3, 1 and 0 trained tokens, and one of 2.
MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0], [0, 1, 1]]).bool()
GROUPS = torch.tensor([0, 0, 0, 1])
VALUES = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 5.0, 9.0]])


def mean(values: Tensor, mask: Tensor, groups: Tensor, reduction: str, **more: object) -> float:
    weighing = weigh(mask, groups, reduction, **more)  # type: ignore[arg-type]
    return ((weighing.weights * values).sum() / weighing.count).item()


def test_token_is_the_mean_over_all_trained_tokens() -> None:
    assert mean(VALUES, MASK, GROUPS, "token") == pytest.approx(24 / 6)


def test_sequence_is_the_mean_of_the_means_of_responses() -> None:
    # (2 + 4 + 7) / 3: the response without a trained token is not counted
    assert mean(VALUES, MASK, GROUPS, "sequence") == pytest.approx(13 / 3)


def test_group_is_the_mean_of_the_means_of_groups() -> None:
    # (10/4 + 14/2) / 2
    assert mean(VALUES, MASK, GROUPS, "group") == pytest.approx(4.75)


def test_constant_divides_every_response_by_the_same_length() -> None:
    # (6 + 4 + 14) / 10 / 3
    assert mean(VALUES, MASK, GROUPS, "constant", length=10) == pytest.approx(0.8)


def test_constant_gives_a_token_the_same_weight_in_short_and_long_responses() -> None:
    weights = weigh(MASK, GROUPS, "constant", length=10).weights
    assert weights[MASK].tolist() == pytest.approx([0.1] * 6)
    assert (weights[~MASK] == 0).all()


def test_for_pairs_the_plain_mean_is_the_same_under_three_reductions() -> None:
    values, mask = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])
    for reduction in ("token", "sequence", "constant"):
        assert mean(values, mask, GROUPS, reduction, length=7) == 1.5


def test_for_pairs_a_group_counts_once_however_many_comparisons_it_has() -> None:
    # Rows 0, 1, 0 are of group 0, row 3 of group 1: ((1 + 2 + 3)/3 + 8) / 2
    rows = torch.tensor([0, 1, 0, 3])
    values, mask = torch.tensor([1.0, 2.0, 3.0, 8.0]), torch.ones(4, dtype=torch.bool)
    assert mean(values, mask, GROUPS, "group", rows=rows) == 5.0


def test_a_group_without_anything_trained_is_not_counted() -> None:
    mask = torch.tensor([[True, True], [False, False]])
    weighing = weigh(mask, torch.tensor([0, 1]), "group")
    assert weighing.count == 1
    assert weighing.weights.tolist() == [[0.5, 0.5], [0.0, 0.0]]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_names_of_groups_need_not_be_consecutive(reduction: str) -> None:
    renamed = torch.tensor([7, 7, 7, 2])
    assert mean(VALUES, MASK, renamed, reduction) == mean(VALUES, MASK, GROUPS, reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_trained_counts_nothing_and_weighs_nothing(reduction: str) -> None:
    for shape in ((4, 3), (4,), (4, 0)):
        weighing = weigh(torch.zeros(shape, dtype=torch.bool), GROUPS, reduction)
        assert weighing.count == 0
        assert weighing.weights.tolist() == torch.zeros(shape).tolist()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_no_row_at_all_counts_nothing(reduction: str) -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert weigh(torch.zeros(0, 3, dtype=torch.bool), none, reduction).count == 0
    assert weigh(torch.zeros(0, dtype=torch.bool), none, reduction, rows=none).count == 0


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(AssertionError):
        weigh(MASK, GROUPS, "mean")


def test_a_term_whose_parts_do_not_fit_is_refused() -> None:
    values, mask = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    trained = torch.zeros(2, 3, requires_grad=True)
    Term(values, mask, metrics={"fine": values})
    for broken in (
        lambda: Term(torch.zeros(2), mask),
        lambda: Term(values, mask.float()),
        lambda: Term(values, mask, rows=torch.tensor([0, 1])),
        lambda: Term(values, mask, metrics={"short": torch.zeros(2)}),
        lambda: Term(values, mask, metrics={"trained": trained}),
    ):
        with pytest.raises(AssertionError):
            broken()
