from __future__ import annotations

import pytest
import torch

from truing.errors import DataError
from truing.tree import Branch, Span, Tree, budgeted, pack


def branch(*tokens: int) -> Branch:
    return Branch(list(tokens), [True] * len(tokens))


def sized(*sizes: int) -> list[Tree]:
    return [Tree([1] * (size - 1), [branch(1)]) for size in sizes]


def test_a_tree_costs_its_prompt_once():
    assert Tree([1, 2, 3], [branch(4, 5), branch(6)]).num_tokens == 6


def test_positions_of_every_branch_go_on_from_the_prompt():
    packed = pack([Tree([10, 11, 12], [branch(20, 21), branch(30)]), Tree([13], [branch(40, 41)])])
    assert packed.token_ids.tolist() == [10, 11, 12, 20, 21, 30, 13, 40, 41]
    assert packed.position_ids.tolist() == [0, 1, 2, 3, 4, 3, 0, 1, 2]
    assert packed.layout == (Span((0, 3), ((3, 5), (5, 6))), Span((6, 7), ((7, 9),)))
    assert packed.num_tokens == 9


def test_the_first_token_of_every_branch_is_predicted_by_the_end_of_the_prompt():
    packed = pack([Tree([10, 11, 12], [branch(20, 21), branch(30)])])
    assert packed.predictors.tolist() == [2, 3, 2]
    assert packed.targets.tolist() == [20, 21, 30]


def test_scatter_puts_each_trained_token_at_its_row_and_column():
    packed = pack([Tree([1], [branch(2, 3), branch(4)]), Tree([5], [branch(6)])])
    assert packed.scatter(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 2], [3, 0], [4, 0]]
    assert packed.mask.tolist() == [[True, True], [True, False], [True, False]]
    assert packed.groups.tolist() == [0, 0, 1]


def test_gradients_flow_back_through_scatter():
    flat = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    packed = pack([Tree([1], [branch(2, 3), branch(4)])])
    (packed.scatter(flat) * torch.tensor([[5.0, 6.0], [7.0, 8.0]])).sum().backward()
    assert flat.grad is not None
    assert flat.grad.tolist() == [5, 6, 7]


def test_tokens_that_are_not_trained_on_are_in_the_row_but_not_among_the_targets():
    packed = pack([Tree([1], [Branch([2, 3, 4], [True, False, True])])])
    assert packed.token_ids.tolist() == [1, 2, 3, 4]
    assert packed.targets.tolist() == [2, 4]
    assert packed.predictors.tolist() == [0, 2]
    assert packed.mask.tolist() == [[True, False, True]]


def test_with_an_empty_prompt_nothing_predicts_the_first_token_so_it_is_masked_out():
    packed = pack([Tree([], [branch(2, 3), branch(4)])])
    assert packed.position_ids.tolist() == [0, 1, 0]
    assert packed.mask.tolist() == [[False, True], [False, False]]
    assert (packed.predictors.tolist(), packed.targets.tolist()) == ([0], [3])


def test_an_empty_branch_is_a_row_without_tokens_that_ends_where_its_prompt_ends():
    packed = pack([Tree([1, 2], [branch(3, 4), branch(), branch(5)])])
    assert packed.shape == (3, 2)
    assert packed.mask.tolist() == [[True, True], [False, False], [True, False]]
    assert packed.ends.tolist() == [3, 1, 4]


def test_a_batch_of_nothing_but_empty_branches_packs():
    packed = pack([Tree([1, 2], [branch()])])
    assert packed.shape == (1, 0)
    assert packed.scatter(torch.zeros(0)).shape == (1, 0)


def test_a_tree_without_branches_adds_tokens_and_no_row():
    packed = pack([Tree([1, 2], []), Tree([3], [branch(4)])])
    assert packed.groups.tolist() == [1]
    assert packed.layout[0] == Span((0, 2), ())


def test_a_row_without_any_token_is_refused():
    with pytest.raises(DataError, match="empty prompt"):
        pack([Tree([], [branch(1), branch()])])


def test_to_moves_every_tensor():
    moved = pack([Tree([1], [branch(2)])]).to("meta")
    tensors = [moved.token_ids, moved.position_ids, moved.predictors, moved.targets, *moved.index]
    assert {t.device.type for t in (*tensors, moved.mask, moved.groups, moved.ends)} == {"meta"}


def test_micro_batches_hold_every_tree_once_and_stay_under_the_budget():
    trees = sized(7, 5, 4, 3, 2, 2, 6)
    bins = budgeted(trees, 10)
    assert sorted(i for members in bins for i in members) == list(range(7))
    assert all(sum(trees[i].num_tokens for i in members) <= 10 for members in bins)
    assert len(bins) == 3  # 29 tokens


def test_micro_batches_are_even():
    bins = budgeted(sized(6, 5, 4, 3), 12)  # first-fit alone would give 6 + 5 and 4 + 3
    assert bins == [[0, 3], [1, 2]]


def test_a_tree_above_the_budget_goes_alone():
    assert budgeted(sized(3, 50, 4), 10) == [[0, 2], [1]]


def test_the_same_sizes_give_the_same_micro_batches_and_nothing_gives_none():
    assert budgeted(sized(5, 5, 5, 5), 10) == budgeted(sized(5, 5, 5, 5), 10) == [[0, 2], [1, 3]]
    assert budgeted([], 10) == []
