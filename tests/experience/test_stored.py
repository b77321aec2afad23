"""Trees in a file come back as they were put in."""

import errno
import math
from pathlib import Path

import pytest

from truing.errors import DataError
from truing.experience.stored import StoredTrees, TreeFile
from truing.tree import Branch, Tree


def _tree(number: int) -> Tree:
    mask = [True, False, True]
    branches = [Branch([number, 70_000, 2], mask, finished=False), Branch([3], [True]), Branch([], [])]
    return Tree([1, number], branches, {"pairs": [(0, 1)], "strength": [0.8], "scores": [1.5, math.inf, -1.0]})


def test_a_tree_comes_back_whole_with_large_ids_masks_and_feedback() -> None:
    file = TreeFile()
    for number in range(3):
        file.append(_tree(number))
    assert [file.read(number) for number in (2, 0, 1)] == [_tree(2), _tree(0), _tree(1)]
    file.append(_tree(3))  # after it was read
    assert (file.read(3), file.read(0)) == (_tree(3), _tree(0))


def test_a_score_that_nobody_gave_stays_nan() -> None:
    file = TreeFile()
    file.append(Tree([1], [Branch([2], [True])], {"scores": [math.nan]}))
    assert math.isnan(file.read(0).feedback["scores"][0])


def test_stored_trees_are_those_numbered_in_that_order_and_each_is_finished_when_it_is_read() -> None:
    file = TreeFile()
    for number in range(5):
        file.append(_tree(number))
    trees = StoredTrees(file, [4, 0, 2])
    assert [tree.prompt for tree in trees] == [[1, 4], [1, 0], [1, 2]]
    assert [tree.prompt for tree in trees[1:]] == [[1, 0], [1, 2]]
    assert (len(trees), trees[-1]) == (3, _tree(2))
    trees[0].feedback["mine"] = 1
    assert "mine" not in trees[0].feedback, "a tree is a new one each time"
    named = trees.finished(lambda tree: tree.feedback.update(sum=sum(tree.prompt)))
    assert [tree.feedback["sum"] for tree in named] == [5, 1, 3]


def test_the_file_leaves_nothing_in_its_folder(tmp_path: Path) -> None:
    file = TreeFile(tmp_path)
    file.append(_tree(0))
    assert file.read(0) == _tree(0)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_said_with_its_folder(tmp_path: Path) -> None:
    file = TreeFile(tmp_path)
    file._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    file.append(_tree(0))
    with pytest.raises(DataError, match="the disk is full") as caught:
        file.read(0)
    assert caught.value.where == str(tmp_path)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    file._file.close()
