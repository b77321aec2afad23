from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from truing.models.kernels import attention
from truing.models.kernels.compiler import U


def flat(*rows: float) -> np.ndarray:
    """Rows of 16 numbers, of which the first is given and the others are 0."""
    array = np.zeros((len(rows), 16), np.float32)
    array[:, 0] = rows
    return array.reshape(-1)


def test_two_tokens_share_their_attention_as_their_scores_say():
    # the second token's scores are log 3 and 0: three quarters of the first value, a quarter of the second
    query, key, value = flat(0, 2), flat(log(3), 0), flat(4, 8)
    trees, segments = np.array([0, 1], np.uintp), np.array([[0, 2, 0]], np.uintp)
    out, lse = np.empty(32, np.float32), np.empty(2, np.float32)
    sizes = (U(1), U(1), U(16), np.float32(0.5))
    attention.forward(query, key, value, trees, segments, *sizes, out, lse, 0, 1)
    assert out.reshape(2, 16)[:, 0].tolist() == pytest.approx([4, 5])
    assert np.exp(lse).tolist() == pytest.approx([1, 4])
    # d out/d p is 4 and 8; d p/d scores is p·(value − out): 3/4·(4 − 5) and 1/4·(8 − 5)
    grad, dq = flat(0, 1), np.empty(32, np.float32)
    dk, dv = np.zeros(32, np.float32), np.zeros(32, np.float32)
    attention.backward(query, key, value, out, lse, grad, trees, segments, *sizes, dq, dk, dv, 0, 1)
    assert dv.reshape(2, 16)[:, 0].tolist() == pytest.approx([0.75, 0.25])
    assert dk.reshape(2, 16)[:, 0].tolist() == pytest.approx([-0.75, 0.75])
    assert dq.reshape(2, 16)[:, 0].tolist() == pytest.approx([0, -0.75 * log(3) * 0.5], abs=1e-6)


def test_a_branch_sees_its_prompt_and_itself_and_not_its_sibling():
    # a prompt of one token, two branches of one: all scores are 0, values 1, 3 and 100
    query, key, value = flat(1, 1, 1), flat(0, 0, 0), flat(1, 3, 100)
    trees = np.array([0, 3], np.uintp)
    segments = np.array([[0, 1, 0], [1, 2, 1], [2, 3, 1]], np.uintp)
    out, lse = np.empty(48, np.float32), np.empty(3, np.float32)
    attention.forward(query, key, value, trees, segments, U(1), U(1), U(16), np.float32(1), out, lse, 0, 1)
    assert out.reshape(3, 16)[:, 0].tolist() == pytest.approx([1, 2, 50.5])
    assert lse.tolist() == pytest.approx([0, log(2), log(2)])


def test_only_the_jobs_that_are_asked_for_are_done():
    query, key, value = (np.ones(2 * 2 * 16, np.float32) for _ in range(3))  # two tokens, two heads: four jobs
    trees, segments = np.array([0, 1, 2], np.uintp), np.array([[0, 1, 0], [1, 2, 0]], np.uintp)
    out, lse = np.full(64, -1, np.float32), np.full(4, -1, np.float32)
    attention.forward(query, key, value, trees, segments, U(2), U(2), U(16), np.float32(1), out, lse, 1, 3)
    assert out.reshape(4, 16)[:, 0].tolist() == [-1, 1, 1, -1]
    assert lse.tolist() == [-1, 16, 16, -1]


def test_a_score_far_below_the_highest_has_no_share():
    query, key, value = flat(0, 1), flat(0, 200), flat(7, 5)
    trees, segments = np.array([0, 1], np.uintp), np.array([[0, 2, 0]], np.uintp)
    out, lse = np.empty(32, np.float32), np.empty(2, np.float32)
    attention.forward(query, key, value, trees, segments, U(1), U(1), U(16), np.float32(1), out, lse, 0, 1)
    assert out.reshape(2, 16)[:, 0].tolist() == [7, 5]
    assert lse.tolist() == [0, 200]
    assert exp(-200) < 1e-38
