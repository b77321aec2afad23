from __future__ import annotations

from statistics import fmean

import pytest
from common.groups import Conversation, Group, Shape, lengths, make_groups, sorted_batches

PAIR = Shape(responses=2)


def test_lengths_add_up() -> None:
    pair = Group([5, 6], [[7], [8, 9]])  # responses of 2 and 3 tokens with their end
    sums = lengths([pair])
    assert (sums.prompt, sums.response) == (2, 2.5)
    assert (sums.once, sums.useful, sums.trained) == (2 + 5, 4 + 5, 5)
    # the prompt sees 1 + 2, the first response 3 + 4, the second 3 + 4 + 5
    assert sums.seen == 3 + 7 + 12
    assert sums.copied == 3 + 7 + 3 + 12


def test_of_a_conversation_only_the_answers_are_trained_on() -> None:
    talk = Conversation([5, 6], [[7]], [([3, 4, 5], [8, 9])])  # answers of 2 and 3 tokens with their ends
    sums = lengths([talk])
    assert talk.response_tokens == [2 + 3 + 3]
    assert (sums.once, sums.useful, sums.trained) == (10, 10, 5)
    assert sums.seen == sums.copied == 10 * 11 / 2


def test_pairs_are_as_long_as_real_ones_and_the_same_for_a_seed() -> None:
    pairs = make_groups(2000, 8192, 3, PAIR)
    sums = lengths(pairs)
    assert sums.prompt == pytest.approx(150, rel=0.1)
    assert sums.response == pytest.approx(120, rel=0.1)
    assert max(len(p.prompt) for p in pairs) == 511
    assert pairs[:5] == make_groups(2000, 8192, 3, PAIR)[:5] != make_groups(2000, 8192, 4, PAIR)[:5]
    tokens = [t for p in pairs for t in p.prompt]
    assert min(tokens) == 3
    assert max(tokens) < 8192


def test_without_spread_all_are_equally_long() -> None:
    (group,) = {(len(g.prompt), tuple(g.response_tokens)) for g in make_groups(5, 64, 0, Shape(3, 20, 10, spread=0.0))}
    assert group == (20, (11, 11, 11))


def test_conversations_have_up_to_so_many_turns() -> None:
    talks = make_groups(200, 64, 0, Shape(responses=1, prompt=20, response=10, turns=3))
    assert {1 + len(talk.more) for talk in talks if isinstance(talk, Conversation)} == {1, 2, 3}


def test_sorted_batches_hold_the_same_groups_and_less_padding() -> None:
    groups = make_groups(64, 256, 0, PAIR)
    by_length = sorted_batches(groups, 8, seed=0)
    assert sorted(map(id, by_length)) == sorted(map(id, groups))

    def padded(rows: list[Group]) -> float:
        return fmean(max(row.longest for row in rows[i : i + 8]) for i in range(0, 64, 8))

    assert padded(by_length) < 0.8 * padded(groups)
