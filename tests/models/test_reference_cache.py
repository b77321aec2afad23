from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from truing.models.adapters import reference
from truing.models.policy import Policy
from truing.models.reference_cache import ReferenceCache
from truing.models.store import CacheWarning, Store
from truing.tree import Branch, Packed, Tree, pack


def _tree(prompt: list[int], *responses: list[int]) -> Tree:
    return Tree(prompt, [Branch(tokens, [True] * len(tokens)) for tokens in responses])


FIRST = _tree([3, 4, 5], [6, 7, 8], [9, 10])
SECOND = _tree([3, 4, 5], [6, 7], [11])
TURNS = Tree([5, 6], [Branch([7, 8, 9, 10], [True, False, False, True]), Branch([7, 8], [False, False])])
NO_PROMPT = Tree([], [Branch([7, 8, 9], [True, True, True]), Branch([7], [True])])
ALL = (FIRST, SECOND, TURNS, NO_PROMPT)


class _Reference:
    """Says of each trained token 0.1 times the token and 0.01 times its place, and remembers how much it was asked."""

    def __init__(self) -> None:
        self.responses: list[int] = []

    def __call__(self, packed: Packed) -> torch.Tensor:
        self.responses.append(int(packed.mask.any(1).sum()))
        return packed.scatter(-0.1 * packed.targets - 0.01 * packed.index[1])


def _cache(root: Path, trees: Iterable[Tree] = (), *, autocast: bool = False) -> ReferenceCache:
    return ReferenceCache(Store(root, "model", limit=10**6), [(tree, autocast) for tree in trees])


def _ask(cache: ReferenceCache, trees: Sequence[Tree], *, autocast: bool = False) -> tuple[torch.Tensor, list[int]]:
    """What comes out, and of how many responses the reference was asked each time."""
    said = _Reference()
    return cache.logprobs(pack(trees), said, autocast=autocast), said.responses


def test_the_reference_is_asked_about_each_response_once_in_all_runs(tmp_path: Path) -> None:
    first = _cache(tmp_path, ALL)
    assert (first.num_wanted, first.num_missing) == (6, 6), "one without a trained or predicted token is no question"
    plain, asked = _ask(first, ALL)
    assert asked == [6]
    assert torch.equal(plain, _Reference()(pack(ALL)))
    again, asked = _ask(first, ALL)
    assert asked == []
    assert torch.equal(again, plain)
    first.flush()

    later = _cache(tmp_path, ALL)
    assert (later.num_wanted, later.num_missing) == (6, 0)
    found, asked = _ask(later, ALL)
    assert asked == []
    assert torch.equal(found, plain)
    assert (later.num_cached, later.num_asked) == (6, 0)
    assert (first.num_cached, first.num_asked) == (6, 6)


def test_only_what_is_not_known_is_asked_about(tmp_path: Path) -> None:
    cache = _cache(tmp_path, ALL)
    _ask(cache, [_tree([3, 4, 5], [9, 10]), TURNS])
    found, asked = _ask(cache, ALL)
    assert asked == [4], "six in all, [9, 10] and the first of TURNS are known"
    assert torch.equal(found, _Reference()(pack(ALL)))


@pytest.mark.parametrize(
    "other",
    [
        _tree([3, 4, 6], [6, 7, 8]),  # another prompt: a template, say
        _tree([4, 5], [6, 7, 8]),  # a prompt that was cut
        _tree([3, 4, 5], [6, 7]),  # a response that was cut
        _tree([3, 4, 5, 6], [7, 8]),  # the same tokens, parted elsewhere
        Tree([3, 4, 5], [Branch([6, 7, 8], [True, True, False])]),  # another mask
    ],
)
def test_other_tokens_are_another_question(tmp_path: Path, other: Tree) -> None:
    cache = _cache(tmp_path)
    _ask(cache, [_tree([3, 4, 5], [6, 7, 8])])
    found, asked = _ask(cache, [other])
    assert asked == [1]
    assert torch.equal(found, _Reference()(pack([other])))


def test_bfloat16_products_and_those_of_the_model_are_kept_apart(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    _ask(cache, ALL)
    assert _ask(cache, ALL, autocast=True)[1] == [6]
    assert _ask(cache, ALL, autocast=True)[1] == []
    cache.flush()
    assert _cache(tmp_path, ALL, autocast=True).num_missing == 0
    assert _cache(tmp_path, [SECOND], autocast=False).num_missing == 0


def test_what_nobody_expected_is_found_too(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    _ask(cache, ALL)
    cache.flush()
    assert _ask(_cache(tmp_path, [FIRST]), [TURNS])[1] == []


def test_what_is_flushed_leaves_memory_and_is_still_known(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    plain, _ = _ask(cache, ALL)
    cache.flush()
    assert not cache._fresh
    found, asked = _ask(cache, ALL)
    assert asked == []
    assert torch.equal(found, plain)


def test_without_a_place_to_write_the_reference_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = _cache(tmp_path / "file")
    _ask(cache, ALL)
    with pytest.warns(CacheWarning, match="cannot be written"):
        cache.flush()
    assert _ask(cache, ALL)[1] == [6]


def test_where_nothing_is_trained_on_nobody_is_asked(tmp_path: Path) -> None:
    found, asked = _ask(_cache(tmp_path), [Tree([3], [Branch([4, 5], [False, False])])])
    assert asked == []
    assert found.tolist() == [[0.0, 0.0]]


def test_what_was_not_flushed_is_asked_about_again(tmp_path: Path) -> None:
    _ask(_cache(tmp_path), ALL)
    assert _cache(tmp_path, ALL).num_missing == 6


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_policy_says_the_same_with_a_cache_and_without(toy: SimpleNamespace, tmp_path: Path, family: str) -> None:
    model = toy.model(family)
    trees, reads = toy.trees(), {"logprobs", "ref_logprobs"}
    plain = Policy(model, reference=reference(model))
    expected = plain.streams(pack(trees), reads, {})["ref_logprobs"]

    cache = _cache(tmp_path)
    policy = Policy(model, reference=reference(model), cache=cache)
    assert torch.equal(policy.streams(pack(trees), reads, {})["ref_logprobs"], expected)
    found = policy.streams(pack(trees[::-1]), reads, {})["ref_logprobs"]
    assert cache.num_asked == int(pack(trees).mask.any(1).sum())
    alone = plain.streams(pack(trees[::-1]), reads, {})["ref_logprobs"]
    torch.testing.assert_close(found, alone, atol=2e-6, rtol=0)
    assert not found.requires_grad


def test_with_ref_kl_the_reference_runs_as_if_there_were_no_cache(toy: SimpleNamespace, tmp_path: Path) -> None:
    model, cache = toy.model("llama"), _cache(tmp_path)
    policy = Policy(model, reference=reference(model), cache=cache)
    streams = policy.streams(pack(toy.trees()), {"ref_kl", "ref_logprobs", "logprobs"}, {})
    torch.testing.assert_close(streams["ref_logprobs"], streams["logprobs"].detach())
    assert (cache.num_asked, cache.num_cached) == (0, 0)
