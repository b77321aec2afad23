"""Work on hostile text ends, whatever the text is."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from truing.errors import TrainingError
from truing.rewards.guarded import Guarded

ENDLESS = ("(a+)+$", 0, False, "a" * 60 + "b")


def test_an_answer_comes_back() -> None:
    guarded = Guarded("regex", seconds=1)
    assert guarded.ask("a+", 0, False, "caat") is True
    assert guarded.ask("a+", 0, True, "caat") is False
    assert guarded.ask("A", int(re.IGNORECASE), False, "caat") is True


def test_what_never_ends_is_ended_and_the_next_question_is_answered() -> None:
    guarded = Guarded("regex", seconds=1)
    start = time.process_time()
    assert guarded.ask(*ENDLESS) is None
    assert guarded.ask("a+", 0, False, "caat") is True
    assert time.process_time() - start < 1, "the work was not done here"


def test_one_process_answers_until_it_has_to_be_ended() -> None:
    guarded = Guarded("regex", seconds=1)
    guarded.ask("a", 0, False, "a")
    first = guarded._process
    guarded.ask("b", 0, False, "b")
    assert guarded._process is first
    assert first is not None
    guarded.close()
    assert first.poll() is not None, "it is gone"


def test_many_short_questions_are_not_one_long_one() -> None:
    # Each may take a second of processor time; together they take more.
    slow = ("(a+)+$", 0, False, "a" * 20 + "b")
    guarded = Guarded("regex", seconds=1)
    guarded.ask("a", 0, False, "a")
    first = guarded._process
    start = time.monotonic()
    while time.monotonic() - start < 2.5:
        assert guarded.ask(*slow) is False
    assert guarded._process is first


def test_memory_has_a_limit() -> None:
    guarded = Guarded("json_schema", seconds=10, memory=64)
    assert guarded.ask({}, "[" + "0.5," * 5_000_000 + "1]") is None
    assert guarded.ask({}, "[1]") is True


def test_threads_may_ask() -> None:
    guarded = Guarded("regex", seconds=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: guarded.ask(f"^{i}$", 0, False, str(i // 2 * 2)), range(40)))
    assert found == [i % 2 == 0 for i in range(40)]


def test_a_job_that_cannot_start_says_why() -> None:
    with pytest.raises(TrainingError, match="KeyError: 'juggle'"):
        Guarded("juggle", seconds=1).ask("x")
