import torch

from truing.ranking import above, same_group


def test_two_rows_are_compared_where_they_share_a_group_and_both_are_spoken_of() -> None:
    found = same_group(torch.tensor([0, 0, 1]), torch.tensor([True, False, True]))
    assert found.tolist() == [[True, False, False], [False, False, False], [False, False, True]]


def test_ties_unranked_rows_and_other_groups_are_above_nobody() -> None:
    ranks, groups = torch.tensor([1, 2, 2, 0, 1]), torch.tensor([0, 0, 0, 0, 1])
    assert above(ranks, groups).nonzero().tolist() == [[0, 1], [0, 2]]
