from __future__ import annotations

from statistics import fmean

import pytest
from common.pairs import Pair, as_row, lengths, make_pairs, sorted_batches


def test_lengths_add_up() -> None:
    pair = Pair([5, 6], [7], [8, 9])  # responses of 2 and 3 tokens with their end
    sums = lengths([pair])
    assert (sums.prompt, sums.response) == (2, 2.5)
    assert (sums.once, sums.useful, sums.trained) == (2 + 5, 4 + 5, 5)
    # the prompt sees 1 + 2, the first response 3 + 4, the second 3 + 4 + 5
    assert sums.seen == 3 + 7 + 12


def test_pairs_are_as_long_as_real_ones_and_the_same_for_a_seed() -> None:
    pairs = make_pairs(2000, 8192, seed=3)
    sums = lengths(pairs)
    assert sums.prompt == pytest.approx(150, rel=0.1)
    assert sums.response == pytest.approx(120, rel=0.1)
    assert max(p.prompt_tokens for p in pairs) == 511
    assert pairs[:5] == make_pairs(2000, 8192, seed=3)[:5] != make_pairs(2000, 8192, seed=4)[:5]
    tokens = [t for p in pairs for t in p.prompt]
    assert min(tokens) == 3
    assert max(tokens) < 8192


def test_sorted_batches_hold_the_same_pairs_and_less_padding() -> None:
    pairs = make_pairs(64, 256, seed=0)
    by_length = sorted_batches(pairs, 8, seed=0)
    assert sorted(map(id, by_length)) == sorted(map(id, pairs))

    def padded(rows: list[Pair]) -> float:
        widths = [p.prompt_tokens + max(p.response_tokens) for p in rows]
        return fmean(max(widths[i : i + 8]) for i in range(0, 64, 8))

    assert padded(by_length) < 0.8 * padded(pairs)


def test_a_row_is_text_of_which_every_word_is_a_token() -> None:
    assert as_row(Pair([5, 6], [7], [8, 9])) == {"prompt": "t5 t6 ", "chosen": "t7", "rejected": "t8 t9"}
